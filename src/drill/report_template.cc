#include "drill/report_template.h"

namespace holdfast::drill {

char const* const kReportTemplate = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{name}} · {{result}} · {{plan_name}}</title>
<style>
:root {
  --desk: #eceef0; --paper: #ffffff; --ink: #1d2126; --soft: #58606a; --faint: #8b939d;
  --line: #e2e5e9; --rule: #1d2126; --wash: #f6f7f9;
  --good: #17744a; --good-wash: #e8f4ee; --bad: #b02a20; --bad-wash: #fbeceb; --bar: #3d6a94; --track: #e6eaee;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Source Serif 4", Georgia, "Liberation Serif",
    "DejaVu Serif", serif;
  --sans: "Inter", -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "JetBrains Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --desk: #0f1114; --paper: #16191d; --ink: #e7eaed; --soft: #a3abb5; --faint: #747d88;
    --line: #2a2f36; --rule: #c9ced5; --wash: #1c2026;
    --good: #63c896; --good-wash: #17291f; --bad: #ff8b7e; --bad-wash: #331c1a; --bar: #6f9fcb; --track: #2a3038;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--desk); color: var(--ink); font: 14px/1.5 var(--sans);
  font-variant-numeric: tabular-nums lining-nums; -webkit-font-smoothing: antialiased; }
main { max-width: 880px; margin: 32px auto; padding: 56px 60px 44px; background: var(--paper);
  box-shadow: 0 1px 2px rgba(0,0,0,.06), 0 12px 40px rgba(0,0,0,.06); border-radius: 3px; }
.masthead { display: flex; justify-content: space-between; align-items: flex-start; gap: 32px;
  border-bottom: 2px solid var(--rule); padding-bottom: 22px; }
.eyebrow { margin: 0 0 6px; font-size: 11.5px; letter-spacing: .09em; text-transform: uppercase; color: var(--soft); }
h1 { margin: 0; font: 600 34px/1.15 var(--serif); letter-spacing: -.01em; overflow-wrap: anywhere; }
.when { margin: 10px 0 0; color: var(--soft); }
.verdict { flex: none; display: flex; align-items: center; gap: 10px; padding: 9px 16px 9px 12px; margin-top: 4px;
  border: 1.5px solid currentColor; border-radius: 4px; font: 600 17px/1.2 var(--serif); white-space: nowrap; }
.verdict svg { width: 20px; height: 20px; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); } .faint { color: var(--faint); }
.verdict.good { background: var(--good-wash); } .verdict.bad { background: var(--bad-wash); }
.facts { display: grid; grid-template-columns: repeat(4, 1fr); margin: 0; padding: 22px 0 4px; }
.facts div { padding: 0 18px; border-left: 1px solid var(--line); }
.facts div:first-child { padding-left: 0; border-left: 0; }
.facts dt { font-size: 12px; color: var(--soft); }
.facts dd { margin: 0; }
.facts .figure { font: 600 23px/1.3 var(--serif); letter-spacing: -.01em; }
.facts .note { font-size: 12px; color: var(--soft); line-height: 1.4; }
.reasons { margin: 22px 0 0; padding: 14px 18px; background: var(--bad-wash); border-left: 3px solid var(--bad); }
.reasons h2 { margin: 0 0 4px; color: var(--bad); }
.reasons ul { margin: 0; padding-left: 18px; }
.reasons li { overflow-wrap: anywhere; white-space: pre-line; }
section { margin-top: 34px; }
h2 { margin: 0 0 8px; font: 600 18px/1.3 var(--serif); }
h2 + p { margin: -4px 0 10px; color: var(--soft); font-size: 13px; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 500; font-size: 12px; color: var(--soft); padding: 0 14px 6px 0; vertical-align: bottom;
  border-bottom: 1px solid var(--rule); }
td { padding: 8px 14px 8px 0; vertical-align: top; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; }
td.name { font-weight: 600; overflow-wrap: anywhere; }
td.name .soft, .under { display: block; font-weight: 400; font-size: 12px; color: var(--soft); line-height: 1.4; }
table + table { margin-top: 22px; }
.mark { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap; font-weight: 500; }
.mark svg { width: 14px; height: 14px; flex: none; }
.gauge { display: block; width: 100%; min-width: 84px; height: 4px; margin: 5px 0 3px; border-radius: 3px; background: var(--track); }
.gauge i { display: block; height: 4px; border-radius: 3px; background: var(--good); }
.gauge.over i { background: var(--bad); }
.text { overflow-wrap: anywhere; white-space: pre-line; }
code, .mono { font: 12px/1.5 var(--mono); }
code { overflow-wrap: anywhere; white-space: pre-wrap; }
.id { font-size: 11px; width: calc(32ch + 14px); max-width: calc(32ch + 14px); overflow-wrap: anywhere; }
.timeline { display: block; width: 100%; height: auto; margin-top: 2px; font-family: var(--sans); }
.tl-name { font-size: 12.5px; fill: var(--ink); } .tl-note { font-size: 11px; fill: var(--soft); }
.tl-tick { font-size: 10.5px; fill: var(--faint); text-anchor: middle; } .tl-strong { fill: var(--bad); }
.tl-grid { stroke: var(--line); } .tl-mark { stroke: var(--bad); stroke-dasharray: 3 3; }
.tl-done { fill: var(--bar); } .tl-failed { fill: var(--bad); }
.facts-list { display: grid; grid-template-columns: 158px 1fr; gap: 5px 16px; margin: 0; font-size: 13px; }
.facts-list dt { color: var(--soft); } .facts-list dd { margin: 0; overflow-wrap: anywhere; }
ul.plain { list-style: none; margin: 0; padding: 0; }
ul.plain li { display: flex; gap: 9px; padding: 3px 0; align-items: baseline; overflow-wrap: anywhere; }
ul.plain svg { width: 13px; height: 13px; flex: none; position: relative; top: 2px; }
pre { margin: 12px 0 0; padding: 11px 14px; background: var(--wash); border-radius: 3px; font: 11.5px/1.6 var(--mono);
  white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 36px; padding-top: 12px; border-top: 1px solid var(--line); font-size: 12px; color: var(--faint);
  display: flex; justify-content: space-between; gap: 20px; }
@media (max-width: 720px) {
  main { margin: 0; padding: 28px 18px; box-shadow: none; }
  .masthead { flex-direction: column; gap: 16px; } .facts { grid-template-columns: 1fr 1fr; row-gap: 18px; }
  .facts div:nth-child(odd) { padding-left: 0; border-left: 0; }
  .scroll { overflow-x: auto; } .facts-list { grid-template-columns: 1fr; gap: 0; } .facts-list dd { margin-bottom: 8px; }
}
@page { size: A4; margin: 16mm 15mm 18mm; }
@media print {
  :root { --desk: #fff; --paper: #fff; --ink: #16191d; --soft: #4d555f; --faint: #767e88; --line: #dcdfe3; --rule: #16191d;
    --wash: #f4f5f7; --good: #17744a; --good-wash: #eef6f1; --bad: #b02a20; --bad-wash: #fbeceb; --bar: #3d6a94; --track: #e6eaee; }
  body { font-size: 9.6pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; margin: 0; padding: 0; box-shadow: none; }
  section { margin-top: 20pt; }
  tr, .facts, .reasons li, ul.plain li, .timeline { break-inside: avoid; }
  h2, h2 + p { break-after: avoid; } thead { display: table-header-group; }
}
</style>
</head>
<body>
<main>
<header class="masthead">
<div>
<p class="eyebrow">{{eyebrow}} · {{plan_name}}</p>
<h1>{{name}}</h1>
<p class="when">{{when}}<br>on {{host}}{{#isolated}}, isolated from everything else{{/isolated}}</p>
</div>
{{#proven}}<div class="verdict good">{{{tick}}}Proven</div>{{/proven}}
{{^proven}}<div class="verdict bad">{{{cross}}}Not proven</div>{{/proven}}
</header>

<dl class="facts">
{{#facts}}<div><dt>{{label}}</dt><dd class="figure">{{figure}}</dd><dd class="note">{{note}}</dd></div>
{{/facts}}</dl>

{{#has_reasons}}<div class="reasons">
<h2>Why this is no proof</h2>
<ul>{{#reasons}}<li>{{text}}</li>{{/reasons}}</ul>
</div>{{/has_reasons}}

{{#has_objectives}}<section>
<h2>Objectives and what was achieved</h2>
<p>{{objectives_note}}</p>
{{#has_datasets}}<div class="scroll"><table>
<thead><tr><th scope="col" style="width:23%">Data</th><th scope="col">Comes back as of</th><th scope="col" class="n">Loss objective</th>
<th scope="col" class="n" style="width:17%">Achieved</th><th scope="col">Objective</th><th scope="col">Data</th></tr></thead>
<tbody>{{#datasets}}<tr>
<td class="name">{{dataset}}<span class="soft">{{kind}}{{#tier}}, {{tier}}{{/tier}}</span></td>
<td>{{as_of}}{{#has_as_of_from}}<span class="under">{{as_of_from}}</span>{{/has_as_of_from}}</td>
<td class="n">{{objective}}</td>
<td class="n">{{achieved}}{{#gauge}}<span class="gauge {{style}}"><i style="width:{{percent}}%"></i></span>{{/gauge}}</td>
<td>{{{mark}}}</td><td>{{{verified}}}</td>
</tr>{{/datasets}}</tbody></table></div>{{/has_datasets}}
{{#has_services}}<div class="scroll"><table style="margin-top:22px">
<thead><tr><th scope="col" style="width:23%">Service</th><th scope="col" class="n">Recovery objective</th>
<th scope="col" class="n" style="width:17%">From the outage</th><th scope="col" class="n">From the declaration</th><th scope="col" style="width:12%">Objective</th></tr></thead>
<tbody>{{#services}}<tr>
<td class="name">{{service}}<span class="soft">{{tier}}</span>{{#has_missing}}<span class="under">without {{missing}}: times are a lower bound</span>{{/has_missing}}</td>
<td class="n">{{objective}}</td><td class="n">{{from_outage}}{{#gauge}}<span class="gauge {{style}}"><i style="width:{{percent}}%"></i></span>{{/gauge}}</td>
<td class="n">{{from_declaration}}</td>
<td>{{{mark}}}</td>
</tr>{{/services}}</tbody></table></div>{{/has_services}}
</section>{{/has_objectives}}

{{#has_steps}}<section>
<h2>Time line</h2>
<p>{{timeline_note}}</p>
{{{timeline}}}
</section>{{/has_steps}}

{{#has_checks}}<section>
<h2>Checks</h2>
<p>{{checks_note}}</p>
<div class="scroll"><table>
<thead><tr><th scope="col" style="width:40%">What was checked</th><th scope="col">Expected</th><th scope="col">Found</th><th scope="col">Verdict</th></tr></thead>
<tbody>{{#checks}}<tr>
<td><code>{{name}}</code><span class="under">{{dataset}}</span></td>
<td class="text">{{expected}}</td><td class="text">{{actual}}</td><td>{{{mark}}}</td>
</tr>{{/checks}}</tbody></table></div>
</section>{{/has_checks}}

{{#has_datasets}}<section>
<h2>Recovery points</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">Data</th><th scope="col">Point</th><th scope="col">State of</th><th scope="col" class="n">Brought back</th><th scope="col" class="n">Compared</th></tr></thead>
<tbody>{{#datasets}}<tr>
<td class="name">{{dataset}}<span class="soft">{{repository}}</span></td>
<td class="mono id">{{point}}</td>
<td>{{point_time}}{{#has_lsn}}<span class="under">LSN {{lsn}}{{#has_timeline}}, timeline {{timeline}}{{/has_timeline}}</span>{{/has_lsn}}</td>
<td class="n">{{files}}<span class="under">{{bytes}}</span></td>
<td class="n">{{compared}}<span class="under">{{differences}}</span></td>
</tr>{{/datasets}}</tbody></table></div>
</section>{{/has_datasets}}

{{#has_step_details}}<section>
<h2>Steps</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">Step</th><th scope="col">Began</th><th scope="col" class="n">Took</th><th scope="col">What it did</th><th scope="col">Outcome</th></tr></thead>
<tbody>{{#steps}}<tr>
<td class="name">{{name}}<span class="soft">{{kind}}</span></td><td style="white-space:nowrap">{{began}}</td><td class="n">{{took}}</td>
<td class="text">{{detail}}</td><td>{{{mark}}}</td>
</tr>{{/steps}}</tbody></table></div>
</section>{{/has_step_details}}

{{#has_clean_up}}<section>
<h2>Cleaned up</h2>
<ul class="plain">{{#clean_up}}<li>{{{mark}}}<span>{{what}}{{#has_detail}} <span class="soft">({{detail}})</span>{{/has_detail}}</span></li>{{/clean_up}}</ul>
</section>{{/has_clean_up}}

{{#has_notes}}<section>
<h2>Notes</h2>
<ul class="plain">{{#notes}}<li><span class="faint">–</span><span class="text">{{text}}</span></li>{{/notes}}</ul>
</section>{{/has_notes}}

<section>
<h2>Where this comes from</h2>
<dl class="facts-list">
{{#provenance}}<dt>{{label}}</dt><dd{{#mono}} class="mono"{{/mono}}>{{value}}</dd>
{{/provenance}}</dl>
<pre># holdfast report verifies the whole chain; without holdfast: what is signed is the compact, sorted form of "evidence"
jq -cSj .evidence evidence.json &gt; signed
jq -rj .signature.value evidence.json | xxd -r -p &gt; signature
(printf 302a300506032b6570032100; jq -rj .signature.key evidence.json) | xxd -r -p &gt; key.der
openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in signed -sigfile signature</pre>
</section>

<footer><span>Holdfast {{tool_version}}</span><span>Evidence {{sequence}} of its chain</span></footer>
</main>
</body>
</html>
)html";

}  // namespace holdfast::drill
