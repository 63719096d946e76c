// A question that is given up after a while: what is stopped, and not dead, keeps its connections and never answers.

/** Somebody the board asks does not answer; said to the person who looks, as it is. */
export class Unavailable extends Error {
  override name = 'Unavailable'
  readonly status = 503
}

/** A store answers within milliseconds; longer than this is no answer to somebody who looks. */
const ANSWER_MS = 3_000

/** @throws Unavailable, naming who was asked, after three seconds; else what the question throws */
export async function bounded<T>(who: string, question: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Unavailable(`${who} does not answer.`)), ANSWER_MS)
  })
  try {
    return await Promise.race([question(), late])
  } finally {
    clearTimeout(timer)
  }
}
