/**
 * What Prisma's own command line needs to work on this folder (`prisma migrate deploy`,
 * `prisma generate`). Perdiem's own commands do not need it. No `defineConfig`: a plain object
 * serves, and loading this file then pulls in nothing.
 */
export default {
  schema: './schema.prisma',
  migrations: { path: './migrations' },
  datasource: { url: process.env.DATABASE_URL ?? '' },
}
