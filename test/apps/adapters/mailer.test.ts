import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { folderMailer, readKeptMail, smtpMailer } from '../../../apps/adapters/mailer.ts'
import type { Mail } from '../../../jobs/kit/ports.ts'

const PDF = Uint8Array.from({ length: 5_000 }, (_, index) => (index * 7) % 256)

const mail = (changes: Partial<Mail> = {}): Mail => ({
  messageId: '<invoice.1.invoice@perdiem.invalid>',
  to: ['ann@agency.example'],
  subject: 'Invoice PD-000042',
  text: 'Due on 2026-12-17.',
  html: '<p>Due on 2026-12-17.</p>',
  attachments: [{ filename: 'PD-000042.pdf', content: PDF, contentType: 'application/pdf' }],
  ...changes,
})

interface Taken {
  readonly from: string
  readonly to: readonly string[]
  readonly user: string | undefined
  readonly source: string
}

let server: SMTPServer
let mailer: ReturnType<typeof smtpMailer>
let taken: Taken[]
let connections: number
let most: number
let refuseNext: string[]

beforeEach(async () => {
  taken = []
  connections = most = 0
  refuseNext = []
  let open = 0
  server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onConnect: (_, done) => {
      connections += 1
      most = Math.max(most, (open += 1))
      done()
    },
    onClose: () => void (open -= 1),
    onAuth: ({ username, password }, _, done) =>
      password === 'pass word' ? done(null, { user: username! }) : done(new Error('wrong password')),
    onRcptTo: (_, __, done) => {
      const refusal = refuseNext.shift()
      done(refusal === undefined ? null : Object.assign(new Error(refusal), { responseCode: 451 }))
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        taken.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          user: String(session.user),
          source: Buffer.concat(chunks).toString('latin1'),
        })
        done()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.server.address() as AddressInfo
  mailer = smtpMailer(`smtp://perdiem:pass%20word@127.0.0.1:${port}`, 'Northwind Billing <billing@northwind.example>')
})

afterEach(async () => {
  mailer.close()
  await new Promise<void>((resolve) => server.close(resolve))
})

/** The headers of a mail or part, folded lines joined. */
function headersOf(source: string): [string, string][] {
  const head = source.slice(0, source.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ')
  return head
    .split('\r\n')
    .filter(Boolean)
    .map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
}

const header = (source: string, name: string): string[] =>
  headersOf(source)
    .filter(([key]) => key === name)
    .map(([, value]) => value)

/** The part of a mail that has a content type. */
function partOf(source: string, type: string): string {
  const part = source.split(/\r\n--[^\r\n]+\r\n/).find((one) => header(one, 'content-type')[0]?.startsWith(type))
  if (part === undefined) throw new Error(`no part ${type}`)
  return part
}

describe('a mail by SMTP', () => {
  it('arrives with its id, its words and its attachment, byte for byte', async () => {
    await mailer.send(mail())
    const { from, to, user, source } = taken[0]!
    expect([from, to, user]).toEqual(['billing@northwind.example', ['ann@agency.example'], 'perdiem'])
    expect(header(source, 'message-id')).toEqual(['<invoice.1.invoice@perdiem.invalid>'])
    expect(header(source, 'from')).toEqual(['Northwind Billing <billing@northwind.example>'])
    expect(header(source, 'to')).toEqual(['ann@agency.example'])
    expect(header(source, 'subject')).toEqual(['Invoice PD-000042'])
    expect(partOf(source, 'text/plain')).toContain('Due on 2026-12-17.')
    expect(partOf(source, 'text/html')).toContain('<p>Due on 2026-12-17.</p>')
    const attached = partOf(source, 'application/pdf')
    expect(header(attached, 'content-disposition')).toEqual(['attachment; filename=PD-000042.pdf'])
    const content = Buffer.from(attached.slice(attached.indexOf('\r\n\r\n')), 'base64')
    expect(Uint8Array.from(content)).toEqual(PDF)
  })

  it('goes to each of its recipients once, and bears the same id when it is handed over twice', async () => {
    const both = mail({ to: ['ann@agency.example', 'bob@agency.example'] })
    await mailer.send(both)
    await mailer.send(both)
    expect(taken.map(({ to }) => to)).toEqual([both.to, both.to])
    expect(new Set(taken.flatMap(({ source }) => header(source, 'message-id'))).size).toBe(1)
  })

  it('fails when the server refuses it, and goes through when it does not any more', async () => {
    refuseNext = ['try again later']
    await expect(mailer.send(mail())).rejects.toThrow('try again later')
    expect(taken).toEqual([])
    await mailer.send(mail())
    expect(taken).toHaveLength(1)
  })

  it('fails where the password is wrong, without telling it', async () => {
    const { port } = server.server.address() as AddressInfo
    const wrong = smtpMailer(`smtp://perdiem:hunter2@127.0.0.1:${port}`, 'billing@northwind.example')
    const error = await wrong.send(mail()).catch((thrown: unknown) => thrown)
    wrong.close()
    expect(error).toBeInstanceOf(Error)
    expect(String((error as Error).stack)).not.toContain('hunter2')
  })

  it('uses at most two connections, again and again', async () => {
    for (let count = 0; count < 3; count += 1) await mailer.send(mail())
    expect(connections).toBe(1)
    await Promise.all(Array.from({ length: 10 }, () => mailer.send(mail())))
    expect(taken).toHaveLength(13)
    expect(most).toBe(2)
  })
})

describe('a text that tries to be a header', () => {
  const EVIL = '\r\nBcc: thief@evil.example\r\nX-Evil: yes\r\n\r\n<script>'

  const ATTEMPTS: [string, Partial<Mail>][] = [
    ['in the subject', { subject: `Invoice${EVIL}` }],
    ['in the subject, by line feeds alone', { subject: 'Invoice\nBcc: thief@evil.example\n\nX-Evil: yes' }],
    ['in the subject, by carriage returns alone', { subject: 'Invoice\rBcc: thief@evil.example\rX-Evil: yes' }],
    ['in the subject, beside letters that must be encoded', { subject: `Rechnung für März${EVIL}` }],
    [
      'in the name of an attachment',
      {
        attachments: [{ filename: `a"${EVIL}.pdf`, content: PDF, contentType: 'application/pdf' }],
      },
    ],
    ['in the message id', { messageId: `<x@perdiem.invalid>${EVIL}` }],
    ['in the text', { text: `Hello${EVIL}`, html: `<p>Hello${EVIL}</p>` }],
  ]

  it.each(ATTEMPTS)('%s stays a text and reaches nobody else', async (_, changes) => {
    await mailer.send(mail(changes))
    const { to, source } = taken[0]!
    expect(to).toEqual(['ann@agency.example'])
    const names = headersOf(source).map(([name]) => name)
    expect(names).not.toContain('bcc')
    expect(names).not.toContain('x-evil')
    for (const name of ['from', 'to', 'subject', 'message-id', 'date', 'mime-version', 'content-type']) {
      expect(
        names.filter((one) => one === name),
        name,
      ).toEqual([name])
    }
    // The body is what was meant to be the body.
    expect(partOf(source, 'application/pdf')).toContain(Buffer.from(PDF).toString('base64').slice(0, 60))
    for (const part of source.split(/\r\n--[^\r\n]+\r\n/)) expect(header(part, 'x-evil')).toEqual([])
  })

  it('in the subject is read there by the recipient', async () => {
    await mailer.send(mail({ subject: `Invoice${EVIL}` }))
    const subject = header(taken[0]!.source, 'subject')[0]!.replace(/\s+/g, ' ')
    expect(subject).toBe('Invoice Bcc: thief@evil.example X-Evil: yes <script>')
  })

  it('in an address adds no recipient', async () => {
    for (const address of [
      'ann@agency.example\r\nBcc: thief@evil.example',
      'ann@agency.example\r\nRCPT TO:<thief@evil.example>',
      'ann@agency.example, thief@evil.example',
      'Ann: thief@evil.example;',
      'ann@agency.example <thief@evil.example>',
    ])
      await mailer.send(mail({ to: [address] })).catch(() => undefined)
    expect(taken.flatMap(({ to }) => to).filter((address) => address.includes('evil.example'))).toEqual([])
    for (const { source } of taken) expect(header(source, 'bcc')).toEqual([])
  })
})

describe('a mail into the folder', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perdiem mail '))
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('is kept with its words, and of its attachments their names and sizes', async () => {
    await folderMailer(folder).send(mail())
    expect(await readKeptMail(folder)).toEqual([
      {
        messageId: '<invoice.1.invoice@perdiem.invalid>',
        to: ['ann@agency.example'],
        subject: 'Invoice PD-000042',
        text: 'Due on 2026-12-17.',
        html: '<p>Due on 2026-12-17.</p>',
        attachments: [{ filename: 'PD-000042.pdf', contentType: 'application/pdf', bytes: 5_000 }],
      },
    ])
  })

  it('is kept twice when it is sent twice, and all in the order of sending', async () => {
    const subjects = ['first', 'second', 'second', 'third']
    const kept = folderMailer(folder)
    for (const subject of subjects) await kept.send(mail({ subject }))
    expect((await readKeptMail(folder)).map(({ subject }) => subject)).toEqual(subjects)
  })

  it('is not there in halves: what a crash left is no mail', async () => {
    await folderMailer(folder).send(mail())
    await writeFile(join(folder, '.0199f1b2-7c3d-7abc-8def-0123456789ab.part'), '{"messageId": "<ha')
    expect(await readKeptMail(folder)).toHaveLength(1)
  })

  it('is none in a folder that is not there yet', async () => {
    expect(await readKeptMail(join(folder, 'none'))).toEqual([])
  })
})
