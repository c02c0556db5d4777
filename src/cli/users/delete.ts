import { serverStatistics } from '../../library/server/server-statistics.ts'
import { DELETE_DELAY_MS, deleteUser, restoreUser } from '../../library/users/deletion.ts'
import { userIdOf } from '../../library/users/users.ts'
import { plural } from '../../library/words.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes } from '../text.ts'

const DELAY = plural(DELETE_DELAY_MS / 86_400_000, 'day')

/** What deleting somebody would mean; with `--yes`, deletes them. */
export async function deleteUserFromCli(
  context: CliContext,
  email: string,
  options: { yes?: boolean; json?: boolean },
): Promise<ExitCode> {
  return context.withDatabase(async (db) => {
    const id = await userIdOf(db, email)
    if (options.yes) {
      const user = await deleteUser(db, id)
      context.print(
        options.json
          ? JSON.stringify(user, null, 2)
          : `${user.email} is deleted and logged out everywhere. For ${DELAY}, glassine users restore brings them back.`,
      )
      return EXIT.done
    }
    const has = (await serverStatistics(db)).usageByUser.find(({ userId }) => userId === id)!
    const files = `${plural(has.photos, 'photo')} and ${plural(has.videos, 'video')}, ${bytes(has.usage)}`
    context.print(
      options.json
        ? JSON.stringify({ ...has, deleted: false }, null, 2)
        : `${email} has ${files}. With --yes this user is deleted and logged out everywhere; for ${DELAY} they can be ` +
            'restored, then all of it goes for good.',
    )
    return EXIT.attention
  })
}

/** Brings a deleted user back, with all that they have. */
export async function restoreUserFromCli(
  context: CliContext,
  email: string,
  options: { json?: boolean },
): Promise<ExitCode> {
  const user = await context.withDatabase(async (db) =>
    restoreUser(db, await userIdOf(db, email, { isDeleted: true })),
  )
  context.print(
    options.json
      ? JSON.stringify(user, null, 2)
      : `${user.email} is back and can log in, with all they have.`,
  )
  return EXIT.done
}
