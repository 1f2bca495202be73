/** Controls of the page's foot. Each returns an object with the value and the means to set it, as its keys do too. */

/** A new element of the page. */
export const element = (name, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

export class Controls {
  constructor(root) {
    this.root = root;
    this.keys = new Map(); // key -> {act, says}
    addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input[type=search]") || (event.target.closest?.("input, select, textarea") && event.key.startsWith("Arrow"));
      if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
      const found = this.keys.get(event.key);
      if (!found) return;
      event.preventDefault();
      found.act();
    });
  }

  clear() {
    this.root.replaceChildren();
    this.keys.clear();
    document.querySelector(".help")?.remove();
  }

  /** A key that does something, with its words for the list of keys; without words it is another key for the same. */
  key(keys, says, act) {
    [keys].flat().forEach((key, i) => this.keys.set(key, { act, says: i === 0 ? says : null }));
  }

  /** One of several: options are `[value, text]`. */
  choice(label, options, value, onChange, key = null) {
    const box = element("fieldset", {}, element("legend", { textContent: label }));
    const name = `choice${this.root.children.length}`;
    const control = {
      box,
      value,
      set: (next) => {
        control.value = next;
        for (const input of box.querySelectorAll("input")) input.checked = input.value === next;
        onChange(next);
      },
    };
    const group = element("div", { className: "choice" });
    for (const [id, text] of options) {
      const input = element("input", { type: "radio", name, value: id, checked: id === value });
      input.addEventListener("change", () => control.set(id));
      group.append(element("label", {}, input, element("span", { textContent: text })));
    }
    box.append(group);
    this.root.append(box);
    if (key) {
      const ids = options.map(([id]) => id);
      this.key(key, label, () => control.set(ids[(ids.indexOf(control.value) + 1) % ids.length]));
    }
    return control;
  }

  /** A number between two: says(value) is its text. keys: those for less and more, with another name for their list. */
  slider(label, { min, max, step, value, says = String, keys = null, named = label }, onChange) {
    const input = element("input", { type: "range", min, max, step, value });
    const output = element("output", { textContent: says(value) });
    const box = element("label", { className: "slider" }, element("span", { textContent: label }), input, output);
    const control = {
      box,
      value,
      set: (next) => {
        control.value = Math.min(Math.max(next, min), max);
        input.value = control.value;
        output.textContent = says(control.value);
        onChange(control.value);
      },
      tell: () => (output.textContent = says(control.value)),
    };
    input.addEventListener("input", () => control.set(Number(input.value)));
    this.root.append(box);
    if (keys) {
      this.key(keys[0], `${named}: less`, () => control.set(control.value - step));
      this.key(keys[1], `${named}: more`, () => control.set(control.value + step));
    }
    return control;
  }

  /** Buttons side by side, `[text, title, act]`. */
  buttons(list) {
    const group = element("div", { className: "buttons", role: "group" });
    for (const [text, title, act] of list) {
      const button = element("button", { type: "button", textContent: text, title });
      button.setAttribute("aria-label", title);
      button.addEventListener("click", act);
      group.append(button);
    }
    this.root.append(group);
    return group;
  }

  /** The list of keys, shown and hidden by a button and by "?". */
  help() {
    const dialog = element("dialog", { className: "help" });
    const rows = [...this.keys].filter(([, { says }]) => says);
    const list = element("dl");
    for (const [key, { says }] of rows) list.append(element("dt", {}, element("kbd", { textContent: NAMES[key] ?? key })), element("dd", { textContent: says }));
    const form = element("form", { method: "dialog" }, element("button", { textContent: "Close" }));
    dialog.append(element("h2", { textContent: "Keys", tabIndex: -1, autofocus: true }), list, form);
    document.body.append(dialog);
    const act = () => (dialog.open ? dialog.close() : dialog.showModal());
    this.buttons([["?", "Keys", act]]);
    this.key("?", null, act);
  }
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
