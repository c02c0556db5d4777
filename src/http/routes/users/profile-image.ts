import type { FastifyInstance } from 'fastify'
import {
  findProfileImage,
  removeProfileImage,
  setProfileImage,
} from '../../../library/users/profile-image.ts'
import { findServable } from '../../../placement/reads/serve.ts'
import { actorOf } from '../../access/authenticate.ts'
import { receiveForm } from '../../bodies/receive-form.ts'
import type { HttpParts } from '../../parts.ts'
import { sendObject } from '../../send/send-object.ts'
import { idParams, parse } from '../../validate.ts'

export function registerProfileImageRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement, log } = parts

  app.post(
    '/api/users/profile-image',
    { config: { access: { who: 'user', permission: 'userProfileImage.update' }, takesForm: true } },
    async (request, reply) => {
      const actor = actorOf(request)
      const { files } = receiveForm(request, { files: ['file'], fields: [] })
      const { profileChangedAt } = await setProfileImage(parts, actor, files)
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
