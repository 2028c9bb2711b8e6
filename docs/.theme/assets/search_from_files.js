// A page that is opened as a file may not start a worker, and the search is one: there it runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.frame = document.body.appendChild(Object.assign(document.createElement("iframe"), { hidden: true }))
      const inside = this.frame.contentWindow
      inside.postMessage = (data) => this.onmessage?.({ data })
      const script = Object.assign(inside.document.createElement("script"), { src: new URL(url, location) })
      this.started = new Promise((resolve) => (script.onload = resolve))
      script.onerror = (event) => this.onerror?.(event)
      inside.document.body.append(script)
    }

    async postMessage(data) {
      const copy = structuredClone(data)
      await this.started
      this.frame.contentWindow?.onmessage({ data: copy })
    }

    terminate() {
      this.frame.remove()
    }
  }
}
