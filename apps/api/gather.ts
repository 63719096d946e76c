// What many requests ask of the database at the same moment is asked in one statement. Nothing is remembered: every
// answer is read after its request has come, so that a revoked key is refused at once. What comes in one turn of the
// event loop, or while a statement is under way, goes together in the next. So a busy process sends few statements and
// commits for many requests, and a quiet one sends each as it would alone.

interface Waiter<Question, Answer> {
  readonly question: Question
  readonly done: (answer: Answer) => void
  readonly fail: (error: unknown) => void
}

/** A statement stays some milliseconds long, and a failed one is not much to ask again. */
const TOGETHER_MAX = 64
/** Whoever is not under way does not wait longer for a statement that hangs, on a lock or on a lost connection. */
const SLOW_MS = 50

/** Patient questions wait for a lock with a connection each: so many at once, and the others after them. */
const ALONE_MAX = 3

function lanes(width: number): (work: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= width) await new Promise<void>((next) => waiting.push(next))
    else running += 1
    await work()
    const next = waiting.shift()
    // The lane is handed on, or given back.
    if (next) next()
    else running -= 1
  }
}

type AskAll<Question, Answer> = (questions: readonly Question[], patient: boolean) => Promise<readonly Answer[]>

/** Asks, and finds out whose question it was when it fails. Never throws. */
function asker<Question, Answer>(
  askAll: AskAll<Question, Answer>,
): (those: readonly Waiter<Question, Answer>[]) => Promise<void> {
  const alone = lanes(ALONE_MAX)
  async function ask(those: readonly Waiter<Question, Answer>[]): Promise<void> {
    try {
      await answer(those, false)
    } catch {
      if (those.length === 1) return void alone(() => askAlone(those[0]!))
      const half = Math.ceil(those.length / 2)
      void ask(those.slice(0, half))
      void ask(those.slice(half))
    }
  }
  async function askAlone(one: Waiter<Question, Answer>): Promise<void> {
    try {
      await answer([one], true)
    } catch (error) {
      one.fail(error)
    }
  }
  async function answer(those: readonly Waiter<Question, Answer>[], patient: boolean): Promise<void> {
    const questions = those.map(({ question }) => question)
    const answers = await askAll(questions, patient)
    those.forEach(({ done }, index) => done(answers[index]!))
  }
  return ask
}

/**
 * @param askAll answers all questions, in their order. When it throws, each half is asked, and so on, so that the
 *   failure of one is nobody else's; the one that is left is asked again `patient`ly. Asking again must be safe
 */
export function gather<Question, Answer>(askAll: AskAll<Question, Answer>): (question: Question) => Promise<Answer> {
  const waiting: Waiter<Question, Answer>[] = []
  const ask = asker(askAll)
  let state: 'idle' | 'called' | 'asking' = 'idle'
  function askNext(): void {
    state = 'asking'
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      clearTimeout(slow)
      state = 'idle'
      callNext()
    }
    const slow = setTimeout(over, SLOW_MS)
    void ask(waiting.splice(0, TOGETHER_MAX)).then(over)
  }
  /** After this turn of the event loop: whatever else came in it goes along. */
  function callNext(): void {
    if (state !== 'idle' || waiting.length === 0) return
    state = 'called'
    setImmediate(askNext)
  }
  return (question) =>
    new Promise((done, fail) => {
      waiting.push({ question, done, fail })
      callNext()
    })
}
