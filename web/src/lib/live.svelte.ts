/** What happens on the server while this page is open, over the websocket. */
import { io, type Socket } from 'socket.io-client'
import type { Asset, Notification, StorageStatus } from './api-types.ts'
import { expireSession } from './session.svelte.ts'

export type LiveEvents = {
  on_upload_success: (asset: Asset) => void
  on_asset_update: (asset: Asset) => void
  on_asset_delete: (id: string) => void
  on_asset_trash: (ids: string[]) => void
  on_asset_restore: (ids: string[]) => void
  on_album_update: (id: string) => void
  on_archive_restore: (restored: { assetId: string; availableUntil: string }) => void
  /** The bucket refused a restore that was promised; what it is of is archived as before. */
  on_archive_refuse: (assetId: string) => void
  on_session_delete: (id: string) => void
  on_notification: (notification: Notification) => void
  storage_status: (status: StorageStatus) => void
  /** A place fell ill or is well again. */
  storage_health: () => void
  /** Not from the server: the connection is back after it was lost, and events may have been missed. */
  reconnected: () => void
}

export const live = $state({ isConnected: false })

let socket: Socket | null = null
const listeners = new Map<keyof LiveEvents, Set<(...args: never[]) => void>>()

/** Opens the connection, once per login. */
export function connectLive(): void {
  if (socket !== null) return
  let wasConnected = false
  const opened = io({ path: '/api/socket.io', transports: ['websocket'] })
  socket = opened
  opened.on('connect', () => {
    live.isConnected = true
    if (wasConnected) emit('reconnected', [])
    wasConnected = true
  })
  opened.on('disconnect', () => {
    live.isConnected = false
  })
  opened.on('on_session_delete', expireSession)
  opened.onAny((name: string, ...args: unknown[]) => emit(name, args))
}

export function disconnectLive(): void {
  socket?.disconnect()
  socket = null
  live.isConnected = false
}

/** Calls `listener` for every such event; returns how to stop that. */
export function onLive<Name extends keyof LiveEvents>(name: Name, listener: LiveEvents[Name]): () => void {
  const set = listeners.get(name) ?? new Set()
  listeners.set(name, set)
  set.add(listener as (...args: never[]) => void)
  return () => set.delete(listener as (...args: never[]) => void)
}

function emit(name: string, args: unknown[]): void {
  for (const listener of listeners.get(name as keyof LiveEvents) ?? []) listener(...(args as never[]))
}
