import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The kill tests take minutes each: begun last, they would be waited for alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => /\/chaos\/(crash-points|storm)\./.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Real databases and a real Chromium on two cores: slow is not wrong. No test asserts a time.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    // The kill tests mostly wait for processes to come up: one more than there are cores.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // The closing lines that CI reads; a reporter that redraws would hide them.
    reporters: ['default'],
  },
})
