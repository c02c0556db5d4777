/**
 * Short messages at the bottom of the window, read out by screen readers. Errors stay longer, for they have
 * to be read.
 */
export type Toast = {
  id: number
  text: string
  isError: boolean
  action: { label: string; run: () => void } | null
}

export const toasts = $state<{ list: Toast[] }>({ list: [] })

let nextId = 1

export function say(text: string, action: Toast['action'] = null): void {
  show({ id: nextId++, text, isError: false, action }, action ? 8000 : 4000)
}

/** Tells what went wrong. An aborted request is not wrong. */
export function sayError(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return
  show(
    {
      id: nextId++,
      text: error instanceof Error ? error.message : String(error),
      isError: true,
      action: null,
    },
    10_000,
  )
}

export function dismiss(id: number): void {
  toasts.list = toasts.list.filter((toast) => toast.id !== id)
}

function show(toast: Toast, forMs: number): void {
  toasts.list = [...toasts.list.slice(-2), toast]
  setTimeout(() => dismiss(toast.id), forMs)
}
