// I9, and what people get: each invoice on paper once, by one mail, with a file that is what the database says it is.
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Evidence, SeenMail, Violation } from './evidence.ts'
import { fates } from './invoicing.ts'

const wrong = (what: string): Violation => ({ invariant: 'I9', what })

/** The papers that are there are those that should be. */
export function checkPapers(evidence: Evidence): Violation[] {
  const { facts } = evidence
  const due = fates(evidence).flatMap(({ invoice, account, paper }) =>
    paper === null ? [] : [{ key: `${invoice.id} ${paper}`, reason: `invoice.${invoice.id}.${paper}`, account }],
  )
  const documents = facts.documents.map(({ invoice_id, kind }) => `${invoice_id} ${kind}`)
  const messages = new Map(facts.messages.map((row) => [row.reason, row]))
  const reasons = due.map(({ reason }) => reason)
  return [
    ...due.filter(({ key }) => !documents.includes(key)).map(({ key }) => wrong(`document ${key} is missing`)),
    ...documents
      .filter((key) => !due.some((one) => one.key === key))
      .map((key) => wrong(`document ${key} is one too many`)),
    ...facts.messages
      .filter(({ reason }) => !reasons.includes(reason))
      .map((row) => wrong(`mail for ${row.reason} is one too many`)),
    ...due.flatMap(({ reason, account }) => {
      const row = messages.get(reason)
      if (!row) return [wrong(`no mail for ${reason}`)]
      const to = row.recipients.join()
      return [
        ...(row.sent_at === null ? [wrong(`mail for ${reason} is not sent`)] : []),
        ...(to === account.billingEmail ? [] : [wrong(`mail for ${reason} went to ${to}`)]),
      ]
    }),
  ]
}

/** Every mail that left, by its id: once, to whom and with what the database says. */
export function checkMails({ facts, mails, mailsAgain }: Evidence): Violation[] {
  const rows = new Map(facts.messages.map((row) => [row.message_id, row]))
  const kept = Map.groupBy(mails, ({ messageId }) => messageId)
  let again = 0
  return [
    ...facts.messages.flatMap(({ message_id, sent_at, reason }) => {
      const there = kept.get(message_id)?.length ?? 0
      again += Math.max(0, there - 1)
      if (again > mailsAgain) return [wrong(`the mail for ${reason} went out ${there} times`)]
      return there === 0 && sent_at !== null ? [wrong(`the mail for ${reason} is marked sent, and never left`)] : []
    }),
    ...[...kept].flatMap(([id, [mail, ...copies]]) => {
      const row = rows.get(id)
      if (!row) return [wrong(`mail ${id} left for no reason`)]
      if (copies.some((copy) => !isDeepStrictEqual(copy, mail))) return [wrong(`mail ${id} left in two versions`)]
      return mail!.to.join() === row.recipients.join()
        ? bytesOf(facts, row.reason, mail!)
        : [wrong(`mail ${id} went to ${mail!.to}`)]
    }),
  ]
}

function bytesOf(facts: Evidence['facts'], reason: string, { attachments, messageId, subject }: SeenMail): Violation[] {
  const document = facts.documents.find(({ invoice_id, kind }) => reason === `invoice.${invoice_id}.${kind}`)
  const invoice = facts.invoices.find(({ id }) => id === document?.invoice_id)
  const [file] = attachments
  const fits =
    attachments.length === 1 && file!.bytes === document?.bytes && invoice?.number && subject.includes(invoice.number)
  return fits ? [] : [wrong(`mail ${messageId} ("${subject}") does not carry the document of ${reason}`)]
}

/** The files themselves. */
export async function checkFiles({ facts, file }: Evidence): Promise<Violation[]> {
  const found = await Promise.all(
    facts.documents.map(async (row): Promise<Violation[]> => {
      const bytes = await file(row.file)
      if (bytes === null || bytes.length === 0) return [wrong(`file ${row.file} is missing or empty`)]
      const start = Buffer.from(bytes.subarray(0, 4)).toString('latin1')
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      if (start !== '%PDF') return [wrong(`file ${row.file} is no PDF`)]
      const same = bytes.length === row.bytes && sha256 === row.sha256
      return same ? [] : [wrong(`file ${row.file} is not what was rendered`)]
    }),
  )
  return found.flat()
}
