import { z } from 'zod'
import { booleanText } from '../../validate.ts'

/** Which of somebody's assets are counted. */
export const statisticsQuery = z.object({
  isFavorite: booleanText.optional(),
  isTrashed: booleanText.optional(),
  visibility: z.enum(['timeline', 'archive', 'hidden', 'locked']).optional(),
})
