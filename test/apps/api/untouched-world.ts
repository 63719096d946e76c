// A world with one license, in which whatever is asked must leave nothing behind: for requests that are refused.
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { act, createProduct, createWorld, type TestAccount, type World } from '../../support/world.ts'
import { recorded } from './support.ts'

export let world: World
export let account: TestAccount
/** The public id of the account's one license. */
export let license: string
/** The public id of an import that waits for its rows. */
export let history: string
/** All that was recorded before the test. */
export let before: Record<string, string>

/** Makes the world before the file's tests, and checks after each of them that it is as it was. */
export function keepWorldUntouched(): void {
  beforeAll(async () => {
    world = await createWorld()
    await createProduct(world, 'backup', '10.00')
    account = await world.account({ card_required: false })
    license = (await act(world, account, '/v1/licenses', { product: 'backup' })).result.licenses[0].id
    history = (await world.call('POST', '/v1/admin/imports', { body: { bill_from: '2026-09' } })).body.id
  })
  beforeEach(async () => void (before = await recorded(world)))
  afterEach(async () => expect(await recorded(world)).toEqual(before))
  afterAll(() => world.close())
}
