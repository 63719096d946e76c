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

/**
 * @param askAll answers all questions, in their order. When it throws, each is asked alone, so that the failure of one
 *   is nobody else's: asking again what was asked must be safe
 */
export function gather<Question, Answer>(
  askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): (question: Question) => Promise<Answer> {
  const waiting: Waiter<Question, Answer>[] = []
  let state: 'idle' | 'called' | 'asking' = 'idle'
  async function ask(those: readonly Waiter<Question, Answer>[]): Promise<void> {
    try {
      const answers = await askAll(those.map(({ question }) => question))
      those.forEach(({ done }, index) => done(answers[index]!))
    } catch (error) {
      if (those.length === 1) return those[0]!.fail(error)
      for (const one of those) void ask([one])
    }
  }
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
