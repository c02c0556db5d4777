import { z } from 'zod'
import { PASSWORD_LENGTH } from '../../../library/credentials/passwords.ts'
import { EMAIL } from '../../../library/users/email.ts'
import { text } from '../../validate.ts'

/** Fields that bodies about users have in common. */
export const email = EMAIL
export const newPassword = z.string().min(PASSWORD_LENGTH.min).max(PASSWORD_LENGTH.max)
export const userName = text(200).pipe(z.string().min(1))
