// The live page. It asks the gate every second and changes only what is different, so that the focus and what is open stay.
"use strict";

const ASK_EVERY = 1000, LIST_EVERY = 4000, PATIENCE = 5000, RATE_OVER = 10000;
const SOON = 30 * 86400, URGENT = 14 * 86400, POINTS = 300;

const $ = id => document.getElementById(id);
const state = {
  lang: "en", token: sessionStorage.getItem("token"), needsToken: false, paused: false, live: null, sessions: null,
  points: null, seen: [], silentSince: null, listedAt: 0, asking: false, timer: 0, plots: [],
};

// Words and numbers

function chosenLanguage() {
  const stored = localStorage.getItem("lang");
  if (stored in WORDS) return stored;
  return (navigator.languages || [navigator.language]).some(lang => /^fr\b/i.test(lang)) && !/^en\b/i.test(navigator.language) ? "fr" : "en";
}

function word(name, values = {}) {
  return WORDS[state.lang][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** English as it is written in Europe: the day before the month. */
const locale = () => ({ en: "en-GB", fr: "fr-FR" })[state.lang];

const number = (value, digits = 0) =>
  value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });

const rate = value => word("perSecond", { count: number(value, value >= 100 ? 0 : 1) });

const milliseconds = value =>
  value === null || value === undefined ? "–" : value >= 1000 ? `${number(value / 1000, 1)} s` : `${number(value, value < 10 ? 1 : 0)} ms`;

/** The largest unit of a time, and the next one where it still matters. */
function span(seconds) {
  const units = [["year", 365 * 86400, 0], ["day", 86400, 10], ["hour", 3600, 24], ["minute", 60, 0], ["second", 1, 0]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return `0 ${word("second")}`;
  const [name, size, fine] = units[first], count = Math.floor(seconds / size);
  const text = `${number(count)} ${word(name)}`;
  if (count >= fine) return text;
  const [next, smaller] = units[first + 1], rest = Math.floor((seconds - count * size) / smaller);
  return rest ? `${text} ${number(rest)} ${word(next)}` : text;
}

const clock = time => new Date(time).toLocaleTimeString(locale(), { timeStyle: "medium" });
/** The last day on which something is valid that is no longer so at `end`. Days of the configuration are days in UTC. */
const lastDay = end => new Date(Date.parse(end) - 1000).toLocaleDateString(locale(), { dateStyle: "medium", timeZone: "UTC" });

// The document

/** Sets a text only when it is another one, so that nothing is announced or selected away for nothing. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Makes the children of `parent` those of `items`, in order: `create` once for each key, `fill` each time. */
function keep(parent, items, key, create, fill) {
  const old = new Map([...parent.children].map(child => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let child = old.get(name);
    old.delete(name);
    if (!child) {
      child = create(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    fill(child, item);
  }
  for (const child of old.values()) child.remove();
}

function translate() {
  document.documentElement.lang = state.lang;
  for (const element of document.querySelectorAll("[data-word]")) put(element, word(element.dataset.word));
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  for (const lang of ["en", "fr"]) $(`lang-${lang}`).setAttribute("aria-pressed", String(lang === state.lang));
}

function speak(lang) {
  state.lang = lang;
  translate();
  for (const id of ["notices", "consumers", "refusals", "sessions", "expiry"]) $(id).replaceChildren();
  put($("said"), "");
  if (state.live) show();
  if (state.sessions) showSessions();
}

// Asking the gate

async function ask(path, method = "GET") {
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  return fetch(path, { method, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
}

async function round() {
  clearTimeout(state.timer);
  if (state.asking || state.paused || document.hidden || (state.needsToken && !state.token)) return;
  state.asking = true;
  try {
    await asked();
    state.silentSince = null;
  } catch {
    state.silentSince ??= Date.now();
    if (state.live) notices();
  }
  state.asking = false;
  if (!state.needsToken || state.token) state.timer = setTimeout(round, state.silentSince ? 2 * ASK_EVERY : ASK_EVERY);
}

async function asked() {
  const since = state.points ? state.points.first + state.points.time.length : 0;
  const answer = await ask(`api/live?since=${since}`);
  if (answer.status === 401) return refuseToken();
  if (!answer.ok) throw new Error(String(answer.status));
  take(await answer.json());
  if (Date.now() - state.listedAt >= LIST_EVERY) await list();
}

async function list() {
  const answer = await ask("api/sessions");
  if (!answer.ok) throw new Error(String(answer.status));
  state.sessions = await answer.json();
  state.listedAt = Date.now();
  showSessions();
}

function refuseToken() {
  const tried = state.token !== null;
  forgetToken();
  put($("login-failed"), tried ? word("loginFailed") : "");
}

function forgetToken() {
  state.token = null;
  state.live = state.points = state.sessions = null;
  state.seen = [];
  sessionStorage.removeItem("token");
  $("board").hidden = $("pause").hidden = $("sign-out").hidden = true;
  $("login").hidden = false;
  put($("gate"), "");
  $("token").focus();
}

function take(live) {
  const { points } = live, known = state.points;
  if (known && points.first === known.first + known.time.length && live.status.uptime_seconds >= state.live.status.uptime_seconds) {
    const surplus = Math.max(0, known.time.length + points.time.length - POINTS);
    for (const column of Object.keys(points)) {
      if (column !== "first") known[column] = known[column].concat(points[column]).slice(surplus);
    }
    known.first += surplus;
  } else {
    state.points = points;
  }
  const now = performance.now();
  if (state.live && live.status.uptime_seconds < state.live.status.uptime_seconds) state.seen = [];
  state.seen.push({ at: now, traffic: live.traffic });
  while (state.seen.length > 2 && now - state.seen[1].at >= RATE_OVER) state.seen.shift();
  state.live = live;
  show();
}

/** What a consumer's counter grew by each second, over the last ten. */
function rateOf(consumer, counter) {
  const [first, last] = [state.seen[0], state.seen[state.seen.length - 1]];
  const seconds = (last.at - first.at) / 1000;
  if (seconds < .5) return null;
  return ((last.traffic[consumer]?.[counter] ?? 0) - (first.traffic[consumer]?.[counter] ?? 0)) / seconds;
}

// Showing

function show() {
  const { status } = state.live;
  $("login").hidden = true;
  $("board").hidden = $("pause").hidden = false;
  $("sign-out").hidden = !state.needsToken;
  put($("gate"), `${word(status.mode)} · ${word("uptime", { time: span(status.uptime_seconds) })}`);
  put($("build"), `sensgate ${status.version} ${status.revision}`.trim());
  document.title = status.upstream.up === false ? `8sens ${word("upstreamDown")} – sensgate` : "sensgate";
  notices();
  facts(status);
  consumers(status);
  refusals();
  expiry(status);
  plot();
}

function notices() {
  const { status } = state.live, found = [];
  const add = (key, kind, text) => found.push({ key, kind, text });
  if (state.silentSince) add("silent", "bad", word("silent", { time: clock(state.silentSince) }));
  if (status.upstream.up === false) add("upstream", "bad", word("upstreamDownNotice", { address: status.upstream.address }));
  if (status.last_reload && !status.last_reload.successful) add("reload", "bad", word("reloadFailed"));
  if (status.last_reload?.restart_needed) add("restart", "warn", word("restartNeeded"));
  if (status.state_write_failures) add("state", "bad", word("stateFailing"));
  if (status.access_log_lines_dropped) add("log", "bad", word("logDropped", { count: number(status.access_log_lines_dropped) }));
  for (const { alarm, count } of status.alarms) {
    const what = WORDS[state.lang][`alarm.${alarm}`] ?? alarm;
    add(`alarm-${alarm}`, "warn", word("alarms", { count: number(count), what, code: alarm }));
  }
  for (const { consumer, code, count } of status.would_refuse) {
    add(`would-${consumer}-${code}`, "warn", word("wouldRefuse", { count: number(count), consumer, code }));
  }
  if (status.guard_is_safe) add("safe", "ok", word("guardIsSafe"));
  keep($("notices"), found, notice => notice.key, () => make("li"), (item, notice) => {
    put(item, notice.text);
    item.className = notice.kind;
  });
}

function facts(status) {
  const { up } = status.upstream;
  put($("upstream"), word(up === null ? "unknown" : up ? "upstreamUp" : "upstreamDown"));
  $("upstream").className = up === null ? "" : up ? "ok" : "bad";
  put($("upstream-address"), status.upstream.address);
  const last = state.points.requests_per_second.length - 1;
  put($("rate"), rate(last < 0 ? 0 : state.points.requests_per_second[last]));
  put($("rate-more"), `${word("inAll", { count: number(status.requests) })} · ${word("inFlight", { count: number(status.in_flight) })}`);
  put($("refused"), number(status.refusals));
  put($("refused-more"), word("inLastMinute", { count: number(status.last_minute.refusals) }));
  put($("sessions-count"), number(status.sessions));
  put($("sessions-more"), word("of", { count: number(status.sessions_max) }));
  put($("connections"), number(status.connections));
  put($("connections-more"), word("of", { count: number(status.connections_max) }));
}

function cell(kind = "") {
  const made = make("td", undefined, kind ? { class: kind } : {});
  made.append(make("span"), make("small"));
  return made;
}

const fill = (made, text, more) => {
  put(made.children[0], text);
  put(made.children[1], more);
};

function consumers(status) {
  const rows = status.consumers.map(consumer => ({ ...consumer, key: consumer.name }));
  if (state.live.traffic["-"]) rows.push({ name: word("nobody"), key: "-", sessions: 0, quota: null, enforce: "on", stranger: true });
  const create = () => {
    const row = make("tr"), name = make("th", undefined, { scope: "row" }), used = make("td");
    name.append(make("span"), make("small"));
    used.append(make("progress"), make("small"));
    row.append(name, cell("number"), cell("number"), used);
    return row;
  };
  keep($("consumers"), rows, row => row.key, create, (row, consumer) => {
    const [name, requests, refused, used] = row.children;
    const traffic = state.live.traffic[consumer.key] ?? { requests: 0, refusals: 0 };
    const more = [];
    if (consumer.sessions) more.push(word("sessionsOf", { count: number(consumer.sessions) }));
    if (consumer.enforce !== "on") more.push(word(`enforce.${consumer.enforce}`));
    fill(name, consumer.name, more.join(" · "));
    const [all, bad] = [rateOf(consumer.key, "requests"), rateOf(consumer.key, "refusals")];
    fill(requests, number(traffic.requests), all ? rate(all) : "");
    fill(refused, number(traffic.refusals), bad ? rate(bad) : "");
    refused.children[0].className = bad > 0 ? "bad" : "";
    const bar = used.children[0];
    bar.hidden = !consumer.quota;
    if (consumer.quota) {
      const { burst, remaining, rate_limit } = consumer.quota;
      bar.max = burst;
      bar.value = burst - remaining;
      bar.className = remaining === 0 ? "full" : "";
      bar.setAttribute("aria-label", `${word("rateUsed")}, ${consumer.name}`);
      put(used.children[1], `${word("rateUsedOf", { used: number(burst - remaining), burst: number(burst) })} · ${rate_limit}`);
    } else {
      put(used.children[1], consumer.stranger ? "" : word("noLimit"));
    }
  });
}

function refusals() {
  const latest = state.live.refusals;
  $("no-refusals").hidden = latest.length > 0;
  // A caller may choose its request ids, so they are counted where they repeat.
  const counts = new Map();
  const key = refusal => {
    const name = `${refusal.time} ${refusal.request_id} ${refusal.code}`;
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return `${name} ${count}`;
  };
  keep($("refusals"), latest, key, refusal => {
    const made = make("details"), summary = make("summary");
    summary.append(
      make("time", clock(refusal.time), { datetime: refusal.time }),
      make("code", refusal.code),
      make("span", refusal.consumer ?? refusal.client_ip),
      make("code", `${refusal.method} ${refusal.path}`),
    );
    if (!refusal.enforced) summary.children[1].after(make("span", word("shadow"), { class: "warn" }));
    made.append(summary, why(refusal));
    return made;
  }, () => {});
}

function why(refusal) {
  const { explanation } = refusal, box = make("div", undefined, { class: "why" }), more = make("dl");
  const say = (name, value) => {
    if (value) more.append(make("dt", word(name)), make("dd", value));
  };
  say("rule", explanation.rule[state.lang]);
  if (explanation.setting) {
    const { key, value, place } = explanation.setting;
    const where = place ? `${place.file}:${place.line}` : word("settingDefault");
    say("setting", `${key}${value ? ` = ${value}` : ""} (${where})`);
  }
  say("consumer", refusal.consumer && `${refusal.consumer} / ${refusal.key_id}`);
  more.append(make("dt", word("requestId")), make("dd", refusal.request_id, { class: "mono" }));
  const remedies = make("ul");
  for (const remedy of explanation.remedies) remedies.append(make("li", remedy[state.lang]));
  box.append(make("p", explanation.meaning[state.lang]), more, make("p", word("remedies"), { class: "quiet" }), remedies);
  return box;
}

function showSessions() {
  const { sessions, places } = state.sessions;
  $("no-sessions").hidden = sessions.length > 0;
  $("sessions-table").hidden = sessions.length === 0;
  const may = state.live.may_end_sessions;
  $("th-end").hidden = !may;
  const note = [];
  if (!may) note.push(word("noToken"));
  if (places > sessions.length && sessions.length >= 100) note.push(word("moreSessions", { shown: sessions.length }));
  put($("sessions-note"), note.join(" "));
  const owners = session => session.owners.map(owner => owner.consumer).join(", ");
  keep($("sessions"), sessions, session => session.hash, session => {
    const row = make("tr"), hash = make("th", undefined, { scope: "row" });
    hash.append(make("code", session.hash.slice(0, 12)));
    row.append(hash, cell(), make("td", undefined, { class: "number" }));
    if (may) {
      const action = make("td", undefined, { class: "number" });
      const label = word("endLabel", { hash: session.hash.slice(0, 12), owner: owners(session) });
      const button = make("button", word("end"), { type: "button", "aria-label": label });
      button.addEventListener("click", () => confirmEnd(session, owners(session), button));
      action.append(button);
      row.append(action);
    }
    return row;
  }, (row, session) => {
    fill(row.children[1], owners(session), session.owners.map(owner => owner.key_id).join(", "));
    put(row.children[2], span(Math.max(...session.owners.map(owner => owner.idle_left_seconds))));
  });
}

function expiry(status) {
  const found = [];
  for (const { name, keys } of status.consumers) {
    for (const key of keys) {
      const used = key.last_used ? word("lastUsed", { time: word("ago", { time: span((Date.parse(status.time) - Date.parse(key.last_used)) / 1000) }) }) : word("neverUsed");
      const more = [word("key"), key.is_upstream_key ? word("keyIsUpstream") : "", key.enabled ? used : word("disabled")].filter(Boolean).join(" · ");
      found.push({ key: `key ${name}/${key.id}`, what: `${name} / ${key.id}`, more, enabled: key.enabled, expires: key.expires, left: key.expires_in_seconds });
    }
  }
  for (const { listener, name, expires, expires_in_seconds } of status.certificates) {
    found.push({ key: `certificate ${listener} ${name}`, what: name, more: word("certificate", { listener }), enabled: true, expires, left: expires_in_seconds });
  }
  const dated = found.filter(item => item.expires && item.enabled).sort((a, b) => a.left - b.left);
  const soon = dated.filter(item => item.left < SOON);
  const next = dated[0];
  put($("expiry-note"), soon.length ? word("expirySoon", { count: number(soon.length) })
    : next ? word("expiryFar", { what: next.what, date: lastDay(next.expires) }) : word("expiryNever"));
  $("expiry-table").hidden = found.length === 0;
  const shown = dated.concat(found.filter(item => !dated.includes(item))).slice(0, 50);
  const create = () => {
    const row = make("tr"), what = make("th", undefined, { scope: "row" });
    what.append(make("span"), make("small"));
    row.append(what, cell("number"));
    return row;
  };
  keep($("expiry"), shown, item => item.key, create, (row, item) => {
    fill(row.children[0], item.what, item.more);
    const left = item.left <= 0 ? word("expired") : word("in", { time: span(item.left) });
    fill(row.children[1], item.expires ? lastDay(item.expires) : "–", item.expires ? left : "");
    const near = item.enabled && item.expires && item.left < SOON;
    row.children[1].children[1].className = near ? (item.left < URGENT ? "bad" : "warn") : "";
  });
}

// Plots

function legend(figure, texts) {
  const caption = figure.querySelector("figcaption");
  if (!caption.children.length) {
    for (const kind of ["one", "two"]) {
      const entry = make("span", undefined, { class: kind });
      entry.append(make("i"), make("span"), make("b"));
      caption.append(entry);
    }
  }
  texts.forEach(([name, value], place) => {
    put(caption.children[place].children[1], `${name} `);
    put(caption.children[place].children[2], value);
  });
}

function drawing(id, columns, names, shown, axis) {
  const figure = $(id), box = figure.querySelector(".plot");
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [one, two, grid, ink] = ["--plot-1", "--plot-2", "--grid", "--quiet"].map(colour);
  const data = () => [state.points.time.map(time => time / 1000), ...columns.map(column => state.points[column])];
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const captions = at => legend(figure, columns.map((column, place) => [word(names[place]), shown(state.points[column][at] ?? (column.endsWith("second") ? 0 : null))]));
  const line = stroke => ({ stroke, width: 1.5, spanGaps: false, points: { show: false } });
  const filled = { ...line(one), fill: `${one}22` };
  const plot = new uPlot({
    width: Math.max(200, box.clientWidth), height: box.clientHeight, legend: { show: false }, pxAlign: 0,
    cursor: { y: false, points: { size: 6 } },
    // A minute at least, so that the first points do not fill the plot.
    scales: { x: { range: (_, first, last) => (last ? [Math.min(first, last - 60), last] : [Date.now() / 1000 - 60, Date.now() / 1000]) }, y: { range: (_, __, max) => [0, Math.max(axis.least, max * 1.15)] } },
    series: [{}, filled, line(two)],
    axes: [
      { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, values: (_, times) => times.map(time => new Date(time * 1000).toLocaleTimeString(locale(), { timeStyle: times[1] - times[0] < 60 ? "medium" : "short" })), space: 80, size: 26, gap: 4 },
      { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, values: (_, values) => values.map(axis.text), size: 52, gap: 4, space: 34 },
    ],
    hooks: { setCursor: [self => captions(self.cursor.idx ?? state.points.time.length - 1)] },
  }, data(), box);
  plot.root.setAttribute("aria-hidden", "true");
  new ResizeObserver(() => {
    if (box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
  }).observe(box);
  return { plot, refresh: () => { plot.setData(data()); captions(plot.cursor.idx ?? state.points.time.length - 1); } };
}

function plot() {
  if (!state.plots.length) {
    const digits = value => number(value, value < 10 && value % 1 ? 1 : 0);
    state.plots = [
      drawing("plot-requests", ["requests_per_second", "refusals_per_second"], ["all", "refused"], rate, { least: 1, text: digits }),
      drawing("plot-latency", ["p50_ms", "p95_ms"], ["median", "p95"], milliseconds, { least: 10, text: value => value === 0 ? "0" : milliseconds(value) }),
    ];
  }
  for (const { refresh } of state.plots) refresh();
}

function redraw() {
  for (const { plot } of state.plots) plot.destroy();
  state.plots = [];
  if (state.live) plot();
}

// Ending a session

function confirmEnd(session, owner, button) {
  const dialog = $("confirm"), hash = session.hash.slice(0, 12);
  put($("confirm-text"), word("endText", { hash, owner }));
  $("confirm-no").onclick = () => dialog.close();
  $("confirm-yes").onclick = () => {
    dialog.close();
    end(session.hash, hash);
  };
  dialog.onclose = () => (button.isConnected ? button : $("main")).focus();
  dialog.showModal();
  $("confirm-no").focus();
}

async function end(whole, hash) {
  try {
    const answer = await ask(`api/sessions/${whole}`, "DELETE");
    if (answer.ok) put($("said"), word("endDone", { hash }));
    else if (answer.status === 404) put($("said"), word("endGone", { hash }));
    else put($("said"), word("endFailed", { hash, code: (await answer.json()).code }));
    await list();
    if (document.activeElement === document.body) $("main").focus();
  } catch (error) {
    put($("said"), word("endFailed", { hash, code: error.name }));
  }
}

// Beginning

$("login").addEventListener("submit", event => {
  event.preventDefault();
  state.token = $("token").value.trim();
  $("token").value = "";
  put($("login-failed"), "");
  sessionStorage.setItem("token", state.token);
  round();
});
$("sign-out").addEventListener("click", () => {
  clearTimeout(state.timer);
  forgetToken();
});
$("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", String(state.paused));
  round();
});
for (const lang of ["en", "fr"]) {
  $(`lang-${lang}`).addEventListener("click", () => {
    localStorage.setItem("lang", lang);
    speak(lang);
  });
}
document.addEventListener("visibilitychange", round);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

async function begin() {
  speak(chosenLanguage());
  try {
    // Whether there is a token is no secret, and asking without it would only be refused.
    state.needsToken = (await (await ask("api/access")).json()).token;
  } catch {
    setTimeout(begin, 2 * ASK_EVERY);
    return;
  }
  if (state.needsToken && !state.token) forgetToken();
  round();
}
begin();
