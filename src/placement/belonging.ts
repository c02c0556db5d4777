/**
 * Where single objects belong: where a campaign has put them, where they belonged before a change of the
 * configuration that nobody has agreed to yet, or else where the policy says. Pure.
 */
import type { ObjectKind } from '../database/schema.ts'
import type { MinCopies, Policy } from './policy.ts'

/** By a campaign, at that time. The first place is the one that it moves to. */
export type Assigned = { to: readonly string[]; at: Date }

/** What the rules of a kind are worth for objects from before them. */
export type KindRules = {
  /** Since when it is configured like this: assignments from before count no more. Null: always. */
  since: Date | null
  /** Objects from before stay where they belonged then. */
  held: { at: readonly string[]; before: Date } | null
}
export type Belonging = {
  kinds: { readonly [Kind in ObjectKind]?: KindRules }
  /** Locations where nothing belongs by a decision of their own. */
  drained: readonly string[]
}

export type Rules = {
  policy: Policy
  minCopies: MinCopies
  belonging: Belonging
  locations: ReadonlyMap<string, unknown>
}

/**
 * The locations where an object belongs. An assignment holds as far as its locations are configured and not
 * drained; where fewer are left than copies that are kept, the policy holds instead.
 */
export function wantedPlaces(
  object: { kind: ObjectKind; createdAt?: Date | undefined; assigned?: Assigned | null | undefined },
  { policy, minCopies, belonging, locations }: Rules,
): readonly string[] {
  const own = ownPlaces(object, belonging.kinds[object.kind])
  const byPolicy = policy[object.kind]
  if (own === null) return byPolicy
  const usable = own.filter((id) => locations.has(id) && !belonging.drained.includes(id))
  return usable.length >= Math.max(1, minCopies[object.kind]) ? usable : byPolicy
}

function ownPlaces(
  { createdAt, assigned }: { createdAt?: Date | undefined; assigned?: Assigned | null | undefined },
  rules: KindRules | undefined,
): readonly string[] | null {
  if (assigned && (rules?.since == null || assigned.at >= rules.since)) return assigned.to
  if (rules?.held && createdAt !== undefined && createdAt < rules.held.before) return rules.held.at
  return null
}
