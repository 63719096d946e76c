// Writes the files of an import: a year of licenses issued, assigned, unassigned and revoked, in the order of time.
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ZONES } from './shape.ts'

const STARTS = Date.parse('2025-01-01T00:00:00Z')
const ENDS = Date.parse('2025-12-31T00:00:00Z')
const PRODUCTS = 8
/** What becomes of every license in turn. */
const STEPS = ['issue', 'assign', 'unassign', 'assign', 'unassign'] as const
const LAST_STEP = ['revoke', 'assign'] as const
const BUFFER = 2 ** 18

/** @returns the folder */
export async function writeHistory(folder: string, events: number, accounts: number): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'accounts.csv'), accountLines(accounts))
  await writeFile(join(folder, 'prices.csv'), priceLines())
  await writeEvents(join(folder, 'events.csv'), events, accounts)
  // PostgreSQL, which may run as another user, copies it as the floor.
  await chmod(folder, 0o755)
  return folder
}

function accountLines(accounts: number): string {
  const columns =
    'account,name,currency,timezone,invoice_day,net_days,autopay_cap,company_name,contact_name,website,address,city,' +
    'postal_code,country'
  const lines = Array.from({ length: accounts }, (_, n) => {
    const terms = `usd,${ZONES[n % ZONES.length]!},1,14,4000.00`
    return `a${n},Account ${n},${terms},Account ${n},A Person,https://${n}.example,1 Main St,Springfield,10849,DE`
  })
  return [columns, ...lines, ''].join('\n')
}

function priceLines(): string {
  const lines = Array.from(
    { length: PRODUCTS },
    (_, n) => `product-${n},Product ${n},family,usd,per_day,4.95,2025-01-01,`,
  )
  return ['product,name,family,currency,model,monthly_amount,effective_from,account', ...lines, ''].join('\n')
}

async function writeEvents(path: string, events: number, accounts: number): Promise<void> {
  const file = createWriteStream(path, { mode: 0o644 })
  let buffer = 'at,account,license,event,product,site_url,site_external_id,client\n'
  for (let n = 0; n < events; n += 1) {
    buffer += eventLine(n, events, accounts)
    if (buffer.length < BUFFER) continue
    if (!file.write(buffer)) await once(file, 'drain')
    buffer = ''
  }
  file.end(buffer)
  await once(file, 'close')
}

/** A license of every account goes through its steps, all of them side by side; then comes the next. */
function eventLine(n: number, events: number, accounts: number): string {
  const account = n % accounts
  const turn = Math.floor(n / accounts)
  const license = Math.floor(turn / (STEPS.length + 1))
  const step = turn % (STEPS.length + 1)
  const event = STEPS[step] ?? LAST_STEP[license % 2]!
  const at = new Date(STARTS + Math.floor((n / events) * (ENDS - STARTS)))
  const site = `${license % 20}`
  const where =
    event === 'assign' ? `https://site${site}-${step}.example,${account}-${site}-${step},Client ${site}` : ',,'
  const what = `a${account},L${account}-${license},${event},product-${license % PRODUCTS}`
  return `${at.toISOString().slice(0, 19)}Z,${what},${where}\n`
}
