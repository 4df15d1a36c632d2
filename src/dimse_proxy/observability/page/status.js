"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js", "locked");
  const link = document.getElementById("link");
  const said = document.getElementById("said");
  const last = new Map();
  let token = "";

  const parse = (element, html) => {
    const copy = element.cloneNode(false);
    copy.innerHTML = html;
    return copy;
  };

  // Rows are kept and only cells that changed are written, so that focus and selection survive.
  const patch = (element, html) => {
    if (last.get(element.id) === html) return;
    last.set(element.id, html);
    const wanted = parse(element, html);
    const keyed = [...wanted.children].every((child) => child.id);
    if (!keyed || !wanted.children.length) { element.innerHTML = html; return; }
    const known = new Map([...element.children].map((child) => [child.id, child]));
    [...wanted.children].forEach((child, place) => {
      const old = known.get(child.id);
      known.delete(child.id);
      const here = element.children[place] || null;
      if (!old) { element.insertBefore(child, here); return; }
      [...child.children].forEach((cell, column) => {
        const shown = old.children[column];
        if (shown.dataset.html !== cell.innerHTML && !(shown.dataset.html === undefined && shown.innerHTML === cell.innerHTML)) {
          shown.innerHTML = cell.innerHTML;
        }
        shown.dataset.html = cell.innerHTML;
      });
      if (old !== here) element.insertBefore(old, here);
    });
    known.forEach((child) => child.remove());
  };

  const say = (text, kind) => { said.textContent = text; said.className = kind ? "reason" : "soft"; };

  const linked = (is) => {
    link.textContent = is ? "live" : "no connection to the proxy";
    link.className = is ? "badge good" : "badge bad";
  };

  const listen = () => {
    const source = new EventSource("api/v1/events");
    source.onmessage = (event) => {
      linked(true);
      for (const [id, html] of Object.entries(JSON.parse(event.data))) {
        const element = document.getElementById(id);
        if (element) patch(element, html);
      }
    };
    source.onerror = () => {
      linked(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    };
  };

  const act = async (path) => {
    try {
      const answer = await fetch(path, { method: "POST", headers: { Authorization: "Bearer " + token } });
      const body = await answer.json();
      say(body.message || answer.statusText, !answer.ok);
      if (answer.status === 401) { token = ""; root.classList.add("locked"); }
    } catch (error) {
      say("The proxy cannot be reached.", true);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-post]");
    if (!button) return;
    if (button.dataset.sure !== undefined && !button.classList.contains("sure")) {
      const label = button.textContent;
      button.classList.add("sure");
      button.textContent = "Really?";
      setTimeout(() => { button.classList.remove("sure"); button.textContent = label; }, 4000);
      return;
    }
    act(button.dataset.post);
  });

  const form = document.getElementById("unlock");
  if (form) form.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    token = field.value;
    field.value = "";
    root.classList.toggle("locked", !token);
    say(token ? "Actions are unlocked until this page is closed." : "", false);
  });

  listen();
})();
