// Every job there is, grouped by rhythm: the table of contents. One job is one file and one line here.
import type { Job } from './kit/job.ts'
import renderInvoice from './documents/render-invoice.job.ts'
import applyChunk from './imports/apply-chunk.job.ts'
import applyImport from './imports/apply-import.job.ts'
import closeAllMonths from './invoices/close-all-months.job.ts'
import closeMonth from './invoices/close-month.job.ts'
import finalizeAllInvoices from './invoices/finalize-all-invoices.job.ts'
import finalizeInvoice from './invoices/finalize-invoice.job.ts'
import { queueOf } from './kit/job.ts'
import applyAction from './licenses/apply-action.job.ts'
import mailInvoice from './notifications/mail-invoice.job.ts'
import chargeInvoice from './payments/charge-invoice.job.ts'
import followStripeEvent from './payments/follow-stripe-event.job.ts'
import mirrorInvoice from './payments/mirror-invoice.job.ts'
import countAllDays from './usage/count-all-days.job.ts'
import countDay from './usage/count-day.job.ts'

export const onDemand = [applyAction, followStripeEvent, applyImport, applyChunk] as const

/** Every quarter of an hour, in the order in which one's result is the next one's input. */
export const quarterHourly = [countAllDays, closeAllMonths, finalizeAllInvoices] as const

/** What those find due: a day, a month, an invoice. */
export const daily = [countDay] as const
export const monthly = [closeMonth, finalizeInvoice, mirrorInvoice, chargeInvoice, renderInvoice, mailInvoice] as const

const all = [...onDemand, ...quarterHourly, ...daily, ...monthly] as readonly unknown[] as readonly Job[]

/** Every job by its stored name. Two of one name are refused at once. */
export const catalog: ReadonlyMap<string, Job> = new Map(all.map((job) => [job.name, job]))
if (catalog.size !== all.length) throw new Error('two jobs have one name')

/** The ticks: jobs with a schedule. They only ask the database what is due. */
export const ticks: readonly Job[] = all.filter((job) => job.schedule !== undefined)

/** The queues, one per folder that has jobs. */
export const queues: readonly string[] = [...new Set(all.map(queueOf))].sort()
