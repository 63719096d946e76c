// Mail by SMTP; and for the sandbox a folder that keeps every mail, one JSON file each, for people and tests to read.
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import nodemailer from 'nodemailer'
import type SMTPPool from 'nodemailer/lib/smtp-pool/index.js'
import type { Mail, Mailer } from '../../jobs/kit/ports.ts'
import { createFiles } from './files.ts'
import { newId } from './ids.ts'

/** A mail server that says nothing for this long is taken for dead; the job tries again. */
const SMTP_TIMEOUT_MS = 20_000

/** @param url smtp://user:password@host:port or smtps://… */
export function smtpMailer(url: string, from: string): Mailer & { close(): void } {
  const transport = nodemailer.createTransport({
    url,
    pool: true,
    maxConnections: 2,
    connectionTimeout: SMTP_TIMEOUT_MS,
    greetingTimeout: SMTP_TIMEOUT_MS,
    socketTimeout: SMTP_TIMEOUT_MS,
    // Mail is put together from our own bytes only: a path or an address in it is never followed.
    disableFileAccess: true,
    disableUrlAccess: true,
  } as SMTPPool.Options)
  return {
    async send(mail) {
      for (const address of mail.to) refuseForgedAddress(address)
      await transport.sendMail({
        from,
        to: [...mail.to],
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        messageId: mail.messageId,
        attachments: mail.attachments.map(({ filename, content, contentType }) => ({
          filename,
          contentType,
          content: Buffer.from(content),
        })),
      })
    },
    close: () => transport.close(),
  }
}

/** A recipient is parsed by the mail library: a comma, a bracket or a line break in it would add another one. */
function refuseForgedAddress(address: string): void {
  if (!/^[^\s,;:<>()"@]+@[^\s,;:<>()"@]+$/.test(address)) throw new Error('a recipient is not one plain mail address')
}

export interface KeptMail extends Omit<Mail, 'attachments'> {
  readonly attachments: readonly { filename: string; contentType: string; bytes: number }[]
}

/** Keeps mails in a folder instead of sending them. A mail sent twice is kept twice: nothing is hidden. */
export function folderMailer(folder: string): Mailer {
  const files = createFiles(folder)
  return {
    async send({ attachments, ...mail }: Mail) {
      const kept: KeptMail = {
        ...mail,
        attachments: attachments.map(({ filename, contentType, content }) => ({
          filename,
          contentType,
          bytes: content.length,
        })),
      }
      await files.put(`${newId()}.json`, Buffer.from(JSON.stringify(kept)))
    },
  }
}

/** Every kept mail, oldest first. */
export async function readKeptMail(folder: string): Promise<KeptMail[]> {
  await mkdir(folder, { recursive: true })
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()
  return await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as KeptMail),
  )
}
