/**
 * A mistake that the suite must notice: text of the product that is replaced while the tests named here run.
 * Nothing in the checkout is touched: `hook.ts` replaces it in memory, in every process of the run.
 */
export type Mutation = {
  /** In words of the mistake, with hyphens: the argument of `npm run test:mutations`. */
  name: string
  /** Below the root of the repository; TypeScript of the product, or a migration. */
  file: string
  /** Each `from` stands in the file exactly once. */
  changes: readonly Change[]
  /** Each of these tests must fail. */
  failing: readonly NamedTest[]
  /** What such a mistake would cost. */
  why: string
}
export type Change = { from: string; to: string }
/**
 * `file`: below the root of the repository. `name`: as the test is called, without its suites. `writtenIn`:
 * the file of a suite that several files of tests share.
 */
export type NamedTest = { file: string; name: string; writtenIn?: string }

/** What `hook.ts` is told, as JSON. */
export const MUTATION_VARIABLE = 'GLASSINE_MUTATION'
export type AppliedMutation = Pick<Mutation, 'file' | 'changes'>

/** The text with the mistake. @throws Error where a change does not stand in it exactly once */
export function mutate(text: string, { file, changes }: AppliedMutation): string {
  return changes.reduce((mutated, { from, to }) => {
    const parts = mutated.split(from)
    if (parts.length !== 2)
      throw new Error(`${file} holds this text ${parts.length - 1} times instead of once:\n${from}`)
    return parts.join(to)
  }, text)
}
