// Teeth in what is counted, invoiced, collected and sent: rows missing, one too many, or not what they should be.
import { caughtBy, copy, drop, FRESH, LAST, one, OPEN, PAID, set, SMALL, type Tooth } from './tooth.ts'

/** What an invoice has once it is final. */
const NO_DRAFT_HAS = 'finalized_at number series sequence issued_on bill_to issuer collection'.split(' ')
const USAGE = one('usage_days', 'days > 0', 'account_id, day, product_id')
const LINE = `invoice_id = ${PAID} AND position = 1`

const counting = [
  ...caughtBy('I1', [
    ['a day counts one license more', set('usage_days', 'days = days + 1', USAGE)],
    ['a day says that one was paused', set('usage_days', 'paused_days = 1', USAGE)],
    ['the usage of a day is missing', drop('usage_days', USAGE)],
    [
      'the usage of a day nobody used',
      copy('usage_days', USAGE, {
        day: `'2026-10-01'::date`,
        product_id: '(SELECT id FROM products ORDER BY slug DESC LIMIT 1)',
      }),
    ],
    ['usage of a day to come', copy('usage_days', USAGE, { day: `'2027-03-01'::date` })],
    ['a peak is higher', set('usage_days', 'peak = peak + 1', USAGE)],
    ['one more stands on a site', set('usage_days', 'assigned = assigned + 1', USAGE)],
    ['one more stands on none', set('usage_days', 'unassigned = unassigned + 1', USAGE)],
    ['a line bills one day more', set('invoice_lines', 'quantity = quantity + 1', LINE)],
    ['a line shows another rate', set('invoice_lines', `unit_rate = '0.000001'`, LINE)],
    ['a line bills other units', set('invoice_lines', `unit = 'months'`, LINE)],
    ['a line is missing', drop('invoice_lines', LINE)],
    ['a line is there twice', copy('invoice_lines', one('invoice_lines', LINE, 'position'), { position: '99' })],
    [
      'a line is at the price of another product',
      set(
        'invoice_lines',
        'price_id = (SELECT id FROM prices p WHERE p.product_id <> invoice_lines.product_id LIMIT 1)',
        LINE,
      ),
    ],
    [
      'a cent moves from one line to another',
      set(
        'invoice_lines',
        'amount = amount + CASE position WHEN 1 THEN 1 ELSE -1 END',
        `invoice_id = ${PAID} AND position <= 2`,
      ),
    ],
  ]),
  ...caughtBy('I12', [
    ['a day is not counted', drop('counted_days', one('counted_days', `day = '2026-10-20'`, 'account_id'))],
    [
      'a day is counted that has not ended',
      copy('counted_days', one('counted_days', 'true', 'account_id, day'), { day: `'2027-03-01'::date` }),
    ],
    [
      'a day begins an hour late',
      set('counted_days', `starts_at = starts_at + interval '1 hour'`, one('counted_days', 'true', 'account_id, day')),
    ],
    [
      'a day ends a millisecond early',
      set('counted_days', `ends_at = ends_at - interval '1 ms'`, one('counted_days', 'true', 'account_id, day')),
    ],
    ['a month is not closed', drop('closed_months', one('closed_months', `month = '2026-10-01'`, 'account_id'))],
    [
      'a month is closed that has not ended',
      copy('closed_months', one('closed_months', `month = '2026-10-01'`, 'account_id'), {
        month: `'2026-11-01'::date`,
      }),
    ],
    ['an account is billed from another day on', set('accounts', 'bill_from = bill_from + 1', one('accounts'))],
  ]),
]

const invoicing = [
  ...caughtBy('I2', [
    ['an invoice is missing', drop('invoices', `id = ${LAST}`)],
    [
      'a month is invoiced twice',
      copy('invoices', `id = ${PAID}`, { id: FRESH, number: `'PD-000099'`, sequence: '99' }),
    ],
    [
      'a month is drafted twice',
      copy('invoices', `id = ${PAID}`, {
        id: FRESH,
        ...Object.fromEntries(NO_DRAFT_HAS.map((name) => [name, 'NULL::text'])),
      }),
    ],
    ['an invoice has no claim', drop('invoice_claims', `invoice_id = ${PAID}`)],
    [
      'a month without usage is invoiced',
      copy('invoices', `id = ${PAID}`, {
        id: FRESH,
        number: `'PD-000099'`,
        sequence: '99',
        period_start: `'2026-09-01'::date`,
        period_end: `'2026-09-30'::date`,
      }),
    ],
  ]),
  ...caughtBy('I3', [
    ['a total is a cent higher', set('invoices', 'total = total + 1, subtotal = subtotal + 1', `id = ${PAID}`)],
    ['a tax nobody set', set('invoices', 'total = total + 1, tax = 1', `id = ${PAID}`)],
    [
      'a paid invoice is open',
      set('invoice_states', `status = 'open', paid = 0, paid_at = NULL`, `invoice_id = ${PAID}`),
    ],
    ['an open invoice is paid', set('invoice_states', `status = 'paid', paid_at = now()`, `invoice_id = ${OPEN}`)],
    ['more is paid than asked', set('invoice_states', 'paid = paid + 1', `invoice_id = ${PAID}`)],
    ['something is credited', set('invoice_states', 'credited = 1', `invoice_id = ${OPEN}`)],
    [
      'what is too small is not settled',
      set('invoice_states', `status = 'open', credited = 0, paid_at = NULL`, `invoice_id = ${SMALL}`),
    ],
    [
      'an invoice is parked',
      set(
        'invoices',
        `parked_reason = 'recount_differs', ${NO_DRAFT_HAS.map((name) => `${name} = NULL`).join(', ')}`,
        `id = ${PAID}`,
      ),
    ],
    [
      'it is charged where it should be sent',
      set('invoices', `collection = 'charge'`, one('invoices', `collection = 'send'`)),
    ],
    ['it is final before its day', set('invoices', `finalized_at = finalized_at - interval '2 days'`, `id = ${PAID}`)],
    ['it was issued on another day', set('invoices', 'issued_on = issued_on - 1', `id = ${PAID}`)],
    ['it is due on another day', set('invoices', 'due_on = due_on + 1', `id = ${PAID}`)],
    ['it says unsent', set('invoice_states', `unsent = 'no_address'`, `invoice_id = ${PAID}`)],
    ['it is of another kind', set('invoices', `kind = 'overage'`, `id = ${PAID}`)],
    ['it has no state', drop('invoice_states', `invoice_id = ${PAID}`)],
  ]),
  ...caughtBy('I4', [
    [
      'numbers have a gap',
      set('invoices', `sequence = sequence + 1, number = 'PD-' || lpad((sequence + 1)::text, 6, '0')`, `id = ${LAST}`),
    ],
    ['a number is written otherwise', set('invoices', `number = 'PD-7'`, `id = ${LAST}`)],
    [
      'numbers fall with finalization',
      set('invoices', `finalized_at = finalized_at - interval '1 ms'`, `id = ${LAST}`),
    ],
    ['the series has gone on', set('number_series', 'next = next + 1', 'true')],
  ]),
  ...caughtBy('I7', [
    ['a final invoice bears another order number', set('invoices', `po_number = 'changed'`, `id = ${PAID}`)],
    ['a final line reads otherwise', set('invoice_lines', `description = 'changed'`, LINE)],
    ['a final invoice is gone', drop('invoices', `id = ${PAID}`)],
  ]),
]

const money = caughtBy('I5', [
  [
    'an attempt is left as sent',
    set('payments', `status = 'sent', ended_at = NULL, provider_id = NULL`, one('payments', `status = 'succeeded'`)),
  ],
  ['a payment is forgotten', drop('payments', one('payments', `status = 'succeeded'`))],
  [
    'a payment is of another charge',
    set('payments', `provider_id = 'ch_other'`, one('payments', `status = 'succeeded'`)),
  ],
  ['a payment is a cent less', set('payments', 'amount = amount - 1', one('payments', `status = 'succeeded'`))],
  ['a failed attempt is forgotten', drop('payments', one('payments', `status = 'failed'`))],
  [
    'a card is charged in vain twice',
    copy('payments', one('payments', `status = 'failed'`), { id: FRESH, provider_id: 'NULL::text' }),
  ],
  [
    'an invoice nobody charges has a payment',
    copy('payments', one('payments', `status = 'succeeded'`), {
      id: FRESH,
      provider_id: 'NULL::text',
      invoice_id: OPEN,
    }),
  ],
  [
    'an invoice has another copy there',
    set('invoice_mirrors', `stripe_invoice_id = 'in_other'`, `invoice_id = ${PAID}`),
  ],
  [
    'a customer is another one there',
    set('stripe_customers', `customer_id = 'cus_other'`, one('stripe_customers', 'true', 'account_id')),
  ],
])

const papers = caughtBy('I9', [
  ['a mail is not written down', drop('messages', one('messages'))],
  ['a mail is not marked sent', set('messages', 'sent_at = NULL', one('messages'))],
  ['a mail went to somebody else', set('messages', `recipients = '{other@chaos.example}'`, one('messages'))],
  [
    'an invoice is mailed for another reason too',
    copy('messages', one('messages'), { id: FRESH, reason: `reason || '.again'`, message_id: `'<again>'` }),
  ],
  ['a document is not written down', drop('documents', one('documents', 'true', 'invoice_id'))],
  [
    'an invoice has both papers',
    copy('documents', one('documents', `kind = 'paid_copy'`, 'invoice_id'), { kind: `'invoice'` }),
  ],
])

export const INVOICE_TEETH: readonly Tooth[] = [...counting, ...invoicing, ...money, ...papers]
