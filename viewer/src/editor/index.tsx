/** The scene editor. */
export function mountEditor(element: HTMLElement): void {
  element.textContent = "The editor comes here.";
}
