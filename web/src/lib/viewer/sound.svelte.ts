/** Whether videos are heard, as it was left the last time. */
const KEY = 'glassine.muted'

export const sound = $state({ isMuted: localStorage.getItem(KEY) === 'yes' })

export function toggleSound(): void {
  sound.isMuted = !sound.isMuted
  localStorage.setItem(KEY, sound.isMuted ? 'yes' : 'no')
}
