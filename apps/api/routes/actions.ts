import { fromPublicId } from '../../adapters/ids.ts'
import { actionResult, actionView, findAction } from '../license-reader.ts'
import { notFound } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { action, idParam } from '../schemas.ts'

const show = defineRoute({
  method: 'get',
  path: '/v1/actions/{id}',
  audience: 'account',
  tag: 'Actions',
  summary: 'One action, and what came of it',
  params: idParam('action'),
  responses: { 200: { description: 'The action.', schema: action } },
  async handle({ services, accountId, params }) {
    const id = fromPublicId('action', params.id)
    if (!id) throw notFound('action')
    return await services.db.withAccount(accountId, async (tx) => {
      const row = await findAction(tx, accountId, id)
      if (!row) throw notFound('action')
      return { status: 200, body: actionView(row, await actionResult(tx, row, services.secrets)) }
    })
  },
})

export const actionRoutes = [show]
