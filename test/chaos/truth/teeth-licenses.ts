// Teeth in what was asked for and what became of it, in the log, the jobs, and in whose things are whose.
import { caughtBy, copy, drop, FRESH, one, PAID, set, type Row, type Tooth } from './tooth.ts'

const REVOKED = 'revoked_at IS NOT NULL'
const DONE = one('actions', `status = 'done'`)
const STOOD = one('past_assignments')

const licensing = [
  ...caughtBy('I6', [
    ['an action is lost', drop('actions', DONE)],
    ['an action nobody asked for', copy('actions', DONE, { id: FRESH, idempotency_key: `'another'`, seq: '999999' })],
    ['an action has not ended', set('actions', `status = 'queued', ended_at = NULL, result = NULL`, DONE)],
    ['an action failed', set('actions', `status = 'failed', error = '{"code": "internal_error"}'`, DONE)],
    [
      'an action is refused that was told done',
      set('actions', `status = 'refused', error = '{"code": "no_price"}'`, DONE),
    ],
    ['an action took effect at another instant', set('actions', `accepted_at = accepted_at + interval '1 ms'`, DONE)],
    ['an action has another key', set('actions', 'idempotency_key = NULL', DONE)],
    ['an action is of another kind', set('actions', `kind = 'license.renew'`, DONE)],
    [
      'a license is issued twice',
      copy('licenses', one('licenses'), { id: FRESH, issued_index: '999', key_hash: `'\\xff'::bytea` }),
    ],
    ['a license is missing', drop('licenses', one('licenses'))],
    [
      'a license is of another product',
      set(
        'licenses',
        'product_id = (SELECT id FROM products p WHERE p.id <> licenses.product_id LIMIT 1)',
        one('licenses'),
      ),
    ],
    ['a license is of another action', set('licenses', `issued_by = ${FRESH}`, one('licenses'))],
    [
      'a license left its site unasked',
      set('licenses', 'site_id = NULL, assigned_at = NULL', one('licenses', 'site_id IS NOT NULL')),
    ],
    [
      'a license stands there since another instant',
      set('licenses', `assigned_at = assigned_at + interval '1 ms'`, one('licenses', 'site_id IS NOT NULL')),
    ],
    ['a stay is forgotten', drop('past_assignments', STOOD)],
    ['a stay is told twice', copy('past_assignments', STOOD, { id: FRESH })],
    [
      'a stay ended at another instant',
      set('past_assignments', `unassigned_at = unassigned_at + interval '1 ms'`, STOOD),
    ],
    [
      'a site nobody named',
      copy('sites', one('sites'), { id: FRESH, url: `'https://other.example'`, external_id: 'NULL::text' }),
    ],
    ['a site lost its client', set('sites', `client = NULL`, one('sites', 'client IS NOT NULL'))],
    ['an account has another cap', set('accounts', 'autopay_cap = 1', one('accounts'))],
    ['an account nobody opened', copy('accounts', one('accounts'), { id: FRESH, external_id: `'other'` })],
  ]),
  ...caughtBy('I13', [
    [
      'a license was revoked later',
      set('licenses', `revoked_at = revoked_at + interval '1 ms'`, one('licenses', REVOKED)),
    ],
    ['a revoked license lives', set('licenses', 'revoked_at = NULL', one('licenses', REVOKED))],
    [
      'a license was revoked unasked',
      set(
        'licenses',
        `revoked_at = '2026-11-03T00:00:00Z', site_id = NULL, assigned_at = NULL`,
        one('licenses', 'revoked_at IS NULL'),
      ),
    ],
    ['a license was issued earlier', set('licenses', `issued_at = issued_at - interval '1 ms'`, one('licenses'))],
    ['a license stood before it was issued', set('past_assignments', `assigned_at = '2026-09-01T00:00:00Z'`, STOOD)],
  ]),
  ...caughtBy('I8', [
    [
      'a hold',
      `INSERT INTO holds (id, account_id, source, reason, since)
       SELECT ${FRESH}, id, 'operator', 'none', now() FROM accounts LIMIT 1`,
    ],
    [
      'a license is paused',
      `INSERT INTO hold_members (hold_id, account_id, license_id)
       SELECT ${FRESH}, account_id, id FROM licenses LIMIT 1`,
    ],
  ]),
]

const ISSUED = one('audit_entries', `action = 'license.issued'`, 'seq')
const FINAL = one('audit_entries', `action = 'invoice.finalized'`, 'seq')

const telling = [
  ...caughtBy('I10', [
    ['the log does not tell of an issue', drop('audit_entries', ISSUED)],
    ['the log tells twice of an issue', copy('audit_entries', ISSUED, { seq: '999999' })],
    [
      'the log does not tell of a revocation',
      drop('audit_entries', one('audit_entries', `action = 'license.revoked'`, 'seq')),
    ],
    ['the log does not tell of a finalization', drop('audit_entries', FINAL)],
    ['the log tells twice of a finalization', copy('audit_entries', FINAL, { seq: '999999' })],
    [
      'the log tells of a license nobody issued',
      copy('audit_entries', ISSUED, { seq: '999999', subject: `${FRESH}::text` }),
    ],
    ['the log tells it at another instant', set('audit_entries', `at = at + interval '1 ms'`, ISSUED)],
    ['the log does not say who', set('audit_entries', `actor = ''`, FINAL)],
    [
      'the log tells it to another account',
      set(
        'audit_entries',
        'account_id = (SELECT id FROM accounts a WHERE a.id <> audit_entries.account_id LIMIT 1)',
        ISSUED,
      ),
    ],
    [
      // Of one alone it may be true: asked for beside an unassignment, it may have come after it.
      'every transfer is told as an assignment',
      set('audit_entries', `action = 'license.assigned'`, `action = 'license.transferred'`),
    ],
  ]),
  ...caughtBy('jobs', [
    [
      'a job is undone',
      set('staged_jobs', 'finished_at = NULL, outcome = NULL', one('staged_jobs', 'finished_at IS NOT NULL')),
    ],
    ['a job is dead', set('staged_jobs', `outcome = 'dead'`, one('staged_jobs', 'finished_at IS NOT NULL'))],
  ]),
]

const OTHER = (table: string): string =>
  `(SELECT id FROM accounts a WHERE a.id <> ${table}.account_id ORDER BY id LIMIT 1)`

const ties = caughtBy('I11', [
  [
    'a license stands on the site of another account',
    set(
      'licenses',
      'site_id = (SELECT id FROM sites s WHERE s.account_id <> licenses.account_id LIMIT 1)',
      one('licenses', 'site_id IS NOT NULL'),
    ),
  ],
  [
    'a card is another account’s',
    set('payment_methods', `account_id = ${OTHER('payment_methods')}, "primary" = false`, one('payment_methods')),
  ],
  [
    'a payment is with the card of another account',
    set(
      'payments',
      'payment_method_id = (SELECT id FROM payment_methods m WHERE m.account_id <> payments.account_id LIMIT 1)',
      one('payments'),
    ),
  ],
  ...['invoice_lines', 'invoice_states', 'invoice_mirrors', 'payments', 'documents'].map((table): Row => [
    `${table} of an invoice are another account’s`,
    set(table, `account_id = ${OTHER(table)}`, `invoice_id = ${PAID}`),
  ]),
  ['a mail is told to another account', set('messages', `account_id = ${OTHER('messages')}`, one('messages'))],
  [
    'a job is of another account',
    set(
      'staged_jobs',
      `account_id = ${OTHER('staged_jobs')}`,
      one('staged_jobs', `payload ? 'invoice' AND account_id IS NOT NULL`),
    ),
  ],
  [
    'an action is on the license of another account',
    set(
      'actions',
      `input = jsonb_build_object('license',
         (SELECT id FROM licenses l WHERE l.account_id <> actions.account_id LIMIT 1))`,
      one('actions', `kind = 'license.revoke'`),
    ),
  ],
])

export const LICENSE_TEETH: readonly Tooth[] = [...licensing, ...telling, ...ties]
