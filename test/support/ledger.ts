// What has been done so far, in the database and outside it: taken before and after, it says whether anything happened.
import pg from 'pg'
import type { World } from './world.ts'

/** Rows of the outbox as facts; attempts, clocks and outcomes are operational. */
const STAGED = `
  SELECT to_jsonb(s) - ARRAY['next_at', 'created_at', 'attempts', 'redrives', 'outcome', 'reason', 'finished_at'] AS row
  FROM staged_jobs s`

/** Every row of every table, as text, by table. */
export async function snapshot(world: World): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: world.database.superuserUrl })
  await client.connect()
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
    )
    const all: Record<string, string[]> = {}
    for (const { name } of tables) {
      const { rows } = await client.query(name === 'staged_jobs' ? STAGED : `SELECT to_jsonb(t) AS row FROM ${name} t`)
      all[name] = rows.map(({ row }) => JSON.stringify(row)).sort()
    }
    return all
  } finally {
    await client.end()
  }
}

export interface StripeRequest {
  readonly method: string
  readonly operation: string
  readonly status: number
  readonly replayed: boolean
}

/** Every request that changes something at the stand-in, oldest first. */
export async function stripeWrites(world: World): Promise<StripeRequest[]> {
  const { data } = (await world.standIn.requests(100_000)) as { data: StripeRequest[] }
  return data.filter(({ method }) => method === 'POST')
}

export interface Outside {
  readonly mails: number
  readonly pages: number
  readonly writes: number
}

export const outside = async (world: World): Promise<Outside> => ({
  mails: world.mails.length,
  pages: world.pages.length,
  writes: (await stripeWrites(world)).length,
})

const SECRET_KEY = 'sk_test_of_the_test_world'

export interface BookCharge {
  readonly id: string
  readonly amount: number
  readonly status: string
  readonly customer: string
}

async function listAll<T extends { id: string }>(world: World, of: string): Promise<T[]> {
  const setup = await world.db.prisma.$queryRaw<{ url: string }[]>`
    SELECT hosted_url AS url FROM invoice_mirrors WHERE hosted_url IS NOT NULL LIMIT 1`
  if (!setup[0]) return []
  const all: T[] = []
  for (;;) {
    const after = all.length === 0 ? '' : `&starting_after=${all.at(-1)!.id}`
    const response = await fetch(new URL(`/v1/${of}?limit=100${after}`, setup[0].url), {
      headers: { Authorization: `Bearer ${SECRET_KEY}` },
    })
    if (!response.ok) throw new Error(`${of}: ${response.status} ${await response.text()}`)
    const { data, has_more: more } = (await response.json()) as { data: T[]; has_more: boolean }
    all.push(...data)
    if (!more) return all
  }
}

/** Every charge in the stand-in's own book, the independent witness. */
export const bookCharges = (world: World): Promise<BookCharge[]> => listAll<BookCharge>(world, 'charges')

export interface BookInvoice {
  readonly id: string
  readonly status: string
  readonly total: number
  readonly metadata: { readonly invoice: string }
}
/** Every invoice copy in the stand-in's own book. */
export const bookInvoices = (world: World): Promise<BookInvoice[]> => listAll<BookInvoice>(world, 'invoices')
