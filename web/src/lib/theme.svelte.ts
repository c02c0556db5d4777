export type ThemeChoice = 'system' | 'light' | 'dark'

const KEY = 'glassine.theme'

/** The choice of light or dark, kept in this browser; app.html applies it before the first paint. */
export const theme = $state<{ choice: ThemeChoice }>({ choice: readChoice() })

function readChoice(): ThemeChoice {
  const stored = localStorage.getItem(KEY)
  return stored === 'light' || stored === 'dark' ? stored : 'system'
}

export function chooseTheme(choice: ThemeChoice): void {
  theme.choice = choice
  if (choice === 'system') {
    localStorage.removeItem(KEY)
    delete document.documentElement.dataset.theme
  } else {
    localStorage.setItem(KEY, choice)
    document.documentElement.dataset.theme = choice
  }
}
