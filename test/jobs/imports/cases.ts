// Cases of bad input: the rows of an account called bad, and what is said of them.
import { accountRow, eventRow, priceRow, type Rows } from './support.ts'

export interface Case {
  /** Imported before, without a complaint. */
  readonly known?: Rows
  readonly rows: Rows
  /** `file line field`, and what is said of it. */
  readonly wrong: readonly (readonly [place: string, message: RegExp])[]
}

const bad = accountRow('bad')
const issued = (license = 'L1', at = '2026-03-01T10:00:00Z') => eventRow(`${at} bad ${license} issue`)
/** Events of an account that is new and well. */
const told = (...events: string[]): Rows => ({
  accounts: [bad],
  events: events.map((text) => eventRow(`2026-03-${text.slice(0, 2)}T10:00:00Z bad ${text.slice(3)}`)),
})

export const NEW_ACCOUNTS: Record<string, Case> = {
  'an unknown zone': {
    rows: { accounts: [accountRow('bad', { timezone: 'Europe/Atlantis' })] },
    wrong: [['accounts.csv 2 timezone', /IANA/]],
  },
  'a zone left out': {
    rows: { accounts: [accountRow('bad', { timezone: '' })] },
    wrong: [['accounts.csv 2 timezone', /is missing/]],
  },
  'no currency': {
    rows: { accounts: [accountRow('bad', { currency: 'xyz' })] },
    wrong: [['accounts.csv 2 currency', /not a currency/]],
  },
  'a currency in capitals': {
    rows: { accounts: [accountRow('bad', { currency: 'USD' })] },
    wrong: [['accounts.csv 2 currency', /lower case/]],
  },
  'invoice day 9': {
    rows: { accounts: [accountRow('bad', { invoice_day: '9' })] },
    wrong: [['accounts.csv 2 invoice_day', /1 to 8/]],
  },
  'invoice day 0': {
    rows: { accounts: [accountRow('bad', { invoice_day: '0' })] },
    wrong: [['accounts.csv 2 invoice_day', /1 to 8/]],
  },
  'half an invoice day': {
    rows: { accounts: [accountRow('bad', { invoice_day: '2.5' })] },
    wrong: [['accounts.csv 2 invoice_day', /1 to 8/]],
  },
  'a tenth of a cent as cap': {
    rows: { accounts: [accountRow('bad', { autopay_cap: '1.001' })] },
    wrong: [['accounts.csv 2 autopay_cap', /no whole amount in usd/]],
  },
  'a cap that is no amount': {
    rows: { accounts: [accountRow('bad', { autopay_cap: '4,000.00' })] },
    wrong: [['accounts.csv 2 autopay_cap', /4000\.00, or none/]],
  },
  'a website that is none': {
    rows: { accounts: [accountRow('bad', { website: 'shop' })] },
    wrong: [['accounts.csv 2 website', /URL/i]],
  },
  'a country in three letters': {
    rows: { accounts: [accountRow('bad', { country: 'DEU' })] },
    wrong: [['accounts.csv 2 country', /two-letter/]],
  },
  'a control character': {
    rows: { accounts: [accountRow('bad', { name: 'Part\u0007ner' })] },
    wrong: [['accounts.csv 2 name', /control characters/]],
  },
  'a name too long': {
    rows: { accounts: [accountRow('bad', { name: 'n'.repeat(201) })] },
    wrong: [['accounts.csv 2 name', /more than 200/]],
  },
  'a company name too long': {
    rows: { accounts: [accountRow('bad', { company_name: 'n'.repeat(201) })] },
    wrong: [['accounts.csv 2 company_name', /200/]],
  },
  'all that is wrong about a row at once': {
    rows: { accounts: [accountRow('bad', { timezone: 'x', invoice_day: '9', country: 'Germany' })] },
    wrong: [
      ['accounts.csv 2 country', /two-letter/],
      ['accounts.csv 2 invoice_day', /1 to 8/],
      ['accounts.csv 2 timezone', /IANA/],
    ],
  },
  'listed twice': {
    rows: { accounts: [bad, accountRow('bad', { name: 'Another' })] },
    wrong: [['accounts.csv 3 account', /is listed on line 2 already/]],
  },
  'in no file, with events': {
    rows: { events: [issued(), issued('L2')] },
    wrong: [['events.csv 2 account', /neither in accounts.csv nor known/]],
  },
  'in no file, with a price': {
    rows: { prices: [priceRow('backup', { account: 'bad' })] },
    wrong: [['prices.csv 2 account', /neither in accounts.csv nor known/]],
  },
}

export const EVENTS: Record<string, Case> = {
  'of an unknown product': {
    rows: told('01 L1 issue nosuch'),
    wrong: [['events.csv 2 product', /not a known product/]],
  },
  'of a product that has no price in its currency': {
    rows: told('01 L1 issue europe'),
    wrong: [['events.csv 2 product', /no price in usd/]],
  },
  'of another product than was issued': {
    rows: told('01 L1 issue', '02 L1 revoke europe'),
    wrong: [['events.csv 3 product', /not the product the license was issued for/]],
  },
  'that issues no product': { rows: told('01 L1 issue -'), wrong: [['events.csv 2 product', /is missing/]] },
  'in the future, by a second': {
    rows: { accounts: [bad], events: [issued('L1', '2026-03-10T12:00:01Z')] },
    wrong: [['events.csv 2 at', /future: it is 2026-03-10T12:00:00/]],
  },
  'on the 30th of February': {
    rows: { accounts: [bad], events: [issued('L1', '2026-02-30T00:00:00Z')] },
    wrong: [['events.csv 2 at', /instant such as/]],
  },
  'at 24:00': {
    rows: { accounts: [bad], events: [issued('L1', '2026-02-27T24:00:00Z')] },
    wrong: [['events.csv 2 at', /instant such as/]],
  },
  'without an offset': {
    rows: { accounts: [bad], events: [issued('L1', '2026-03-01T00:00:00')] },
    wrong: [['events.csv 2 at', /instant such as/]],
  },
  'on a day only': {
    rows: { accounts: [bad], events: [issued('L1', '2026-03-01')] },
    wrong: [['events.csv 2 at', /instant such as/]],
  },
  'that is none of the four': {
    rows: told('01 L1 pause'),
    wrong: [['events.csv 2 event', /issue, assign, unassign, revoke/]],
  },
  'without a license': { rows: told('01 - issue'), wrong: [['events.csv 2 license', /is missing/]] },
  'before its license is issued': {
    rows: told('02 L1 issue', '01 L1 assign backup https://a.example'),
    wrong: [
      ['events.csv 2 license', /already \(line 3\)/],
      ['events.csv 3 license', /not issued before this/],
    ],
  },
  'of a license nobody issued': {
    rows: told('01 L1 revoke'),
    wrong: [['events.csv 2 license', /not issued before this/]],
  },
  'that issues a second time': {
    rows: told('01 L1 issue', '02 L1 issue'),
    wrong: [['events.csv 3 license', /issued already \(line 2\)/]],
  },
  'after the revocation': {
    rows: told('01 L1 issue', '02 L1 revoke', '03 L1 assign backup https://a.example'),
    wrong: [['events.csv 4 event', /after the license was revoked \(line 3\)/]],
  },
  'that revokes a second time': {
    rows: told('01 L1 issue', '02 L1 revoke', '03 L1 revoke'),
    wrong: [['events.csv 4 event', /after the license was revoked/]],
  },
  'that unassigns what stands nowhere': {
    rows: told('01 L1 issue', '02 L1 unassign'),
    wrong: [['events.csv 3 event', /stands on no site/]],
  },
  'that assigns what stands elsewhere': {
    rows: told('01 L1 issue', '02 L1 assign backup https://a.example', '03 L1 assign backup https://b.example'),
    wrong: [['events.csv 4 event', /stands on another site \(line 3\): unassign it first/]],
  },
  'that assigns to no site': {
    rows: told('01 L1 issue', '02 L1 assign'),
    wrong: [['events.csv 3 site_url', /is missing/]],
  },
  'on a site that has no address': {
    rows: told('01 L1 issue backup ftp://a.example'),
    wrong: [['events.csv 2 site_url', /http or https/]],
  },
  'on a site with a password': {
    rows: told('01 L1 issue backup https://me:secret@a.example'),
    wrong: [['events.csv 2 site_url', /user name or password/]],
  },
  'whose url and id are of two sites': {
    rows: told(
      '01 L1 issue backup https://a.example 1',
      '02 L2 issue backup https://b.example 2',
      '03 L3 issue backup https://a.example 2',
    ),
    wrong: [['events.csv 4 site_external_id', /belongs to another site/]],
  },
  'whose id is another site’s by now': {
    rows: told('01 L1 issue backup https://a.example 1', '02 L2 issue backup https://b.example 1'),
    wrong: [['events.csv 3 site_url', /belongs to another site/]],
  },
  'with a control character': {
    rows: { accounts: [bad], events: [{ ...issued(), client: 'a\nb' }] },
    wrong: [['events.csv 2 client', /control characters/]],
  },
  'with half a character': {
    rows: { accounts: [bad], events: [{ ...issued(), client: 'a\ud800' }] },
    wrong: [['events.csv 2 client', /control characters/]],
  },
  'with a cell too long': {
    rows: { accounts: [bad], events: [{ ...issued(), client: 'c'.repeat(201) }] },
    wrong: [['events.csv 2 client', /more than 200/]],
  },
  'with a url too long': {
    rows: { accounts: [bad], events: [{ ...issued(), site_url: `https://a.example/${'p'.repeat(2000)}` }] },
    wrong: [['events.csv 2 site_url', /2,?000/]],
  },
  'several, each by its own reason': {
    rows: told('01 L1 issue nosuch', '02 L2 issue', '03 L2 unassign', '04 L3 revoke'),
    wrong: [
      ['events.csv 2 product', /known/],
      ['events.csv 4 event', /no site/],
      ['events.csv 5 license', /not issued/],
    ],
  },
}

const standing: Rows = told('02 L1 issue', '03 L1 assign backup https://a.example 1', '04 L2 issue', '05 L2 revoke')
export const KNOWN: Record<string, Case> = {
  'another currency than the account has': {
    known: { accounts: [bad] },
    rows: { accounts: [accountRow('bad', { currency: 'eur' })] },
    wrong: [['accounts.csv 2 currency', /is usd for this account/]],
  },
  'another zone than the account has': {
    known: { accounts: [bad] },
    rows: { accounts: [accountRow('bad', { timezone: 'Asia/Tokyo' })] },
    wrong: [['accounts.csv 2 timezone', /is UTC for this account/]],
  },
  'an event before what is known of its license': {
    known: standing,
    rows: told('02 L1 issue', '02 L1 revoke'),
    wrong: [['events.csv 3 at', /before what is known/]],
  },
  'a second issue of a known license': {
    known: standing,
    rows: told('01 L1 issue'),
    wrong: [['events.csv 2 license', /issued already/]],
  },
  'an event after a known revocation': {
    known: standing,
    rows: told('06 L2 assign backup https://a.example'),
    wrong: [['events.csv 2 event', /after the license was revoked/]],
  },
  'an assignment elsewhere of what is known to stand': {
    known: standing,
    rows: told('06 L1 assign backup https://b.example'),
    wrong: [['events.csv 2 event', /another site: unassign it first/]],
  },
  'a known site’s url with another id': {
    known: standing,
    rows: told('06 L3 issue backup https://a.example 2'),
    wrong: [['events.csv 2 site_external_id', /belongs to another site/]],
  },
  'two known sites as one': {
    known: told('02 L1 issue backup https://a.example', '03 L2 issue backup - 2'),
    rows: told('06 L3 issue backup https://a.example 2'),
    wrong: [['events.csv 2 site_external_id', /another known site/]],
  },
  'another product for a known license': {
    known: standing,
    rows: told('06 L1 unassign europe'),
    wrong: [['events.csv 2 product', /not the product/]],
  },
}

export const PRICES: Record<string, Case> = {
  'in another currency than its account’s': {
    rows: { accounts: [bad], prices: [priceRow('backup', { account: 'bad', currency: 'eur' })] },
    wrong: [['prices.csv 2 currency', /not the account's/]],
  },
  'said twice and differently': {
    rows: {
      accounts: [bad],
      prices: [priceRow('backup', { account: 'bad' }), priceRow('backup', { account: 'bad', monthly_amount: '9' })],
    },
    wrong: [['prices.csv 3 effective_from', /another price in this file/]],
  },
  'other than the one that is set from that day': {
    known: { accounts: [bad], prices: [priceRow('backup', { account: 'bad' })] },
    rows: { accounts: [bad], prices: [priceRow('backup', { account: 'bad', monthly_amount: '9' })] },
    wrong: [['prices.csv 2 monthly_amount', /another than the one set/]],
  },
  'that is no amount': {
    rows: { accounts: [bad], prices: [priceRow('backup', { account: 'bad', monthly_amount: '-1' })] },
    wrong: [['prices.csv 2 monthly_amount', /decimal amount/]],
  },
  'from a day that is none': {
    rows: { accounts: [bad], prices: [priceRow('backup', { account: 'bad', effective_from: '2026-02-29' })] },
    wrong: [['prices.csv 2 effective_from', /calendar day/]],
  },
  'of a model that is not imported': {
    rows: { accounts: [bad], prices: [priceRow('backup', { account: 'bad', model: 'term' })] },
    wrong: [['prices.csv 2 model', /per_day/]],
  },
}
