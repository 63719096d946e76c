import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Real databases and a real Chromium on two cores: slow is not wrong. No test asserts a time.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    // The closing lines that CI reads; a reporter that redraws would hide them.
    reporters: ['default'],
  },
})
