import { z } from 'zod'
import { PASSWORD_LENGTH } from '../../library/passwords.ts'
import { text } from '../validate.ts'

/** Fields that bodies about users have in common. */
export const email = z.string().trim().max(320).pipe(z.email('Invalid email'))
export const newPassword = z.string().min(PASSWORD_LENGTH.min).max(PASSWORD_LENGTH.max)
export const userName = text(200).pipe(z.string().min(1))
