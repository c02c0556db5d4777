import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'
import { findProfileImage, removeProfileImage, setProfileImage } from '../../library/profile-image.ts'
import { findServable } from '../../placement/serve.ts'
import { actorOf } from '../authenticate.ts'
import { receiveForm } from '../receive-upload.ts'
import { sendObject } from '../send-object.ts'
import type { HttpParts } from '../server.ts'
import { idParams, parse } from '../validate.ts'

const MAX_PICTURE_BYTES = 50 * 1024 * 1024

export function registerProfileImageRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement, log } = parts

  app.post(
    '/api/users/profile-image',
    { config: { access: { who: 'user', permission: 'userProfileImage.update' } } },
    async (request, reply) => {
      const actor = actorOf(request)
      await using form = await receiveForm(request, reply, placement, {
        file: { maxBytes: MAX_PICTURE_BYTES },
      })
      const file = form.files.get('file')
      if (!file) throw new AppError('invalid', 'file: a picture is required')
      const { profileChangedAt } = await setProfileImage(parts, actor, {
        fileName: file.name,
        staged: file.staged,
      })
      return reply.status(201).send({
        userId: actor.userId,
        profileChangedAt,
        profileImagePath: `users/${actor.userId}/profile-image`,
      })
    },
  )

  app.delete(
    '/api/users/profile-image',
    { config: { access: { who: 'user', permission: 'userProfileImage.delete' } } },
    async (request, reply) => {
      await removeProfileImage(db, actorOf(request))
      return reply.status(204).send()
    },
  )

  app.get(
    '/api/users/:id/profile-image',
    { config: { access: { who: 'user', permission: 'userProfileImage.read' } } },
    async (request, reply) => {
      const objectId = await findProfileImage(db, parse(idParams, request.params).id)
      return sendObject(request, reply, await findServable(placement, objectId), {
        delivery: placement.delivery,
        log,
      })
    },
  )
}
