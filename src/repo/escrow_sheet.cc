#include "repo/escrow_sheet.h"

#include <fmt/format.h>

#include "base/text.h"
#include "repo/qr_svg.h"

namespace holdfast {
namespace {

std::string escape(std::string_view text) {
    std::string escaped;
    for (char c : text) {
        if (c == '&') escaped += "&amp;";
        else if (c == '<') escaped += "&lt;";
        else if (c == '>') escaped += "&gt;";
        else if (c == '"') escaped += "&quot;";
        else escaped += c;
    }
    return escaped;
}

constexpr std::string_view kStyle = R"(<style>
body{font:11pt/1.4 serif;max-width:17cm;margin:1cm auto;padding:0 .5cm;color:#000;background:#fff}
h1{font-size:18pt;border-bottom:2px solid #000}
pre{font:bold 14pt/1.6 monospace;border:1px solid #000;padding:.4cm;overflow-wrap:anywhere;white-space:pre-wrap}
pre.kit{font:10pt/1.4 monospace;border:0;padding:0}
svg{width:6cm;height:6cm;float:right;margin-left:.5cm}
td{padding:0 .6cm .1cm 0;vertical-align:top;overflow-wrap:anywhere}
@page{margin:1.5cm}
</style>)";

std::string page(std::string_view title, std::string_view body) {
    return fmt::format("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n{}</head>\n"
                       "<body>\n{}</body></html>\n",
                       escape(title), kStyle, body);
}

}  // namespace

Result<std::string> escrow_sheet(EmergencyKit const& kit, EscrowShare const& share, std::size_t shares) {
    auto text = to_text(share);
    auto code = qr_svg(text);
    if (!code) {
        wipe(text);
        return fail(std::move(code).error());
    }
    auto title = fmt::format("Share {} of {} of a Holdfast key", share.number, shares);
    auto body = fmt::format(
        R"(<h1>{title}</h1>
{code}
<p>This sheet is one of {shares}. <b>Any {threshold} of them together open every backup</b>; {fewer} tell nothing. Print it,
delete the file, and lock the paper away from the others.</p>
<table>
<tr><td>Repository</td><td>{url}</td></tr>
<tr><td>Id</td><td>{id}</td></tr>
<tr><td>Admin key</td><td>{fingerprint}</td></tr>
<tr><td>Key</td><td>{set}…</td></tr>
<tr><td>Made</td><td>{date}</td></tr>
</table>
<pre>
{text}</pre>
<p>To use it: {threshold} holders bring their sheets to a machine with holdfast {version} or later that reaches the repository,
and</p>
<ol>
<li>type the six lines above of each sheet, one after the other, into a file (or scan the code, which holds the same text).
The two last letters of each line tell a slip of the finger; small letters will do, there is no letter O or I;</li>
<li>run <code>holdfast key recover --repo {url} recovered.key FILE…</code></li>
<li>compare the id and the admin key that it shows with this sheet, and go on with
<code>holdfast rescue --key recovered.key {url}</code>;</li>
<li>destroy the file of the shares and, when all is done, the key file.</li>
</ol>
)",
        fmt::arg("title", title), fmt::arg("code", *code), fmt::arg("shares", shares),
        fmt::arg("threshold", share.threshold), fmt::arg("fewer", share.threshold - 1),
        fmt::arg("url", escape(printable(kit.url))), fmt::arg("id", kit.repository.hex()),
        fmt::arg("fingerprint", fingerprint(kit.admin)), fmt::arg("set", to_hex(share.set)),
        fmt::arg("date", to_rfc3339(kit.created)), fmt::arg("text", text),
        fmt::arg("version", escape(kit.version)));
    wipe(text);
    wipe(*code);
    auto whole = page(title, body);
    wipe(body);
    return whole;
}

std::string emergency_kit_html(EmergencyKit const& kit) {
    auto code = qr_svg(kit.url);
    return page("Holdfast emergency kit",
                (code ? *code : "") + "\n<pre class=\"kit\">\n" + escape(emergency_kit(kit)) + "</pre>\n");
}

}  // namespace holdfast
