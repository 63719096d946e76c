// The supervisor: what ends without having been asked is started again, until that is hopeless.
import { describe, expect, it } from 'vitest'
import { keepRunning, type Part } from '../../../apps/sandbox/keep.ts'
import { waitUntil } from '../../support/wait.ts'

function scene(endsPerMinute = 3) {
  const lives: { end: (how: string) => void; stopped: boolean }[] = []
  const said: string[] = []
  const givenUp: string[] = []
  let failing = 0
  const start = async (ended: (how: string) => void): Promise<Part> => {
    if (failing > 0) {
      failing -= 1
      throw new Error('the database is away')
    }
    const life = { end: ended, stopped: false }
    lives.push(life)
    return { pid: lives.length, stop: async () => void (life.stopped = true) }
  }
  const options = {
    say: (line: string) => void said.push(line),
    giveUp: (name: string, how: string) => void givenUp.push(`${name} ${how}`),
    endsPerMinute,
  }
  return { lives, said, givenUp, fail: (times: number) => void (failing = times), start, options }
}

describe('a part that is kept running', () => {
  it('is started again when it ends, and says so', async () => {
    const { lives, said, start, options } = scene()
    const kept = await keepRunning('worker', start, options)
    lives[0]!.end('SIGKILL')
    await waitUntil('it runs again', () => lives.length === 2 && kept.part().pid === 2)
    expect(said).toEqual(['worker ended (SIGKILL); it is started again'])
    await kept.stop()
    expect(lives.map(({ stopped }) => stopped)).toEqual([false, true])
  })

  it('is tried again when its start fails, and given up when it ends too often', async () => {
    const { lives, givenUp, fail, start, options } = scene(3)
    const kept = await keepRunning('worker', start, options)
    fail(1)
    lives[0]!.end('code 1')
    await waitUntil('it runs again', () => lives.length === 2)
    lives[1]!.end('code 1')
    await waitUntil('it runs a third time', () => lives.length === 3)
    expect(givenUp).toEqual([])
    lives[2]!.end('code 1')
    expect(givenUp).toEqual(['worker code 1'])
    await kept.stop()
    expect(lives).toHaveLength(3)
  })

  it('held, it stays ended until it is let go; taken down, it is asked to stop first', async () => {
    const { lives, start, options } = scene()
    const kept = await keepRunning('postgres', start, options)
    kept.hold()
    lives[0]!.end('SIGKILL')
    expect(lives).toHaveLength(1)
    await kept.release()
    expect([lives.length, kept.part().pid]).toEqual([2, 2])
    await kept.down()
    expect([lives.length, lives[1]!.stopped]).toEqual([2, true])
    await kept.release()
    expect(lives).toHaveLength(3)
    await kept.stop()
  })

  it('whose first start fails is nobody’s secret', async () => {
    const { fail, start, options } = scene()
    fail(1)
    await expect(keepRunning('web', start, options)).rejects.toThrow('the database is away')
  })
})
