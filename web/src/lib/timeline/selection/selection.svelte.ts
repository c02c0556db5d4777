import { SvelteSet } from 'svelte/reactivity'

/** What is selected on one timeline. `last` is where a shift-click's range begins. */
export class Selection {
  readonly ids = new SvelteSet<string>()
  last = $state<string | null>(null)

  get isActive(): boolean {
    return this.ids.size > 0
  }

  toggle(id: string): void {
    if (!this.ids.delete(id)) this.ids.add(id)
    this.last = id
  }

  /** All of them selected; or, where they all are already, none of them. */
  toggleAll(ids: readonly string[]): void {
    const areAll = ids.every((id) => this.ids.has(id))
    for (const id of ids) {
      if (areAll) this.ids.delete(id)
      else this.ids.add(id)
    }
    this.last = ids.at(-1) ?? this.last
  }

  add(ids: readonly string[]): void {
    for (const id of ids) this.ids.add(id)
    this.last = ids.at(-1) ?? this.last
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.ids.delete(id)
  }

  clear(): void {
    this.ids.clear()
    this.last = null
  }
}
