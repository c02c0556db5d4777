/** Whether a key is for a field or a dialog, and none of the page's own. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest('input:not([type=range]), textarea, select, dialog, [contenteditable]') !== null
  )
}
