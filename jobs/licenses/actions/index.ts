// Every kind of action, by its stored name.
import type { ActionKind } from '../action.ts'
import assignLicense from './assign-license.action.ts'
import issueLicense from './issue-license.action.ts'
import revokeLicense from './revoke-license.action.ts'
import unassignLicense from './unassign-license.action.ts'

export const actionKinds: ReadonlyMap<string, ActionKind> = new Map(
  [issueLicense, assignLicense, unassignLicense, revokeLicense].map((kind) => [kind.kind, kind as ActionKind]),
)
