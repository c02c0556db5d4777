import { sql } from 'kysely'

/** Of `catalogue_left_over one`: no photo of somebody who was removed here since. */
export const IS_STILL_WANTED = sql`(one.kind <> 'asset'
  or exists (select from app_user where id = (one.entry ->> 'owner')::uuid)
  or exists (select from catalogue_left_over owner where owner.kind = 'user'
    and owner.id = (one.entry ->> 'owner')::uuid))`
