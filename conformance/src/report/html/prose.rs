//! The prose of a clause as HTML.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Paragraphs, lists and tables.
pub(super) fn blocks(text: &str) -> Markup {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        // A chapter of one's own may hold anything; here it only speaks.
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        // Links lead to other chapters, whose files are not here.
        Event::Start(Tag::Link { .. } | Tag::Image { .. })
        | Event::End(TagEnd::Link | TagEnd::Image) => None,
        event => Some(event),
    });
    let mut markup = String::new();
    html::push_html(&mut markup, events);
    PreEscaped(markup)
}

/// The text of a heading, which is one paragraph, without the paragraph.
pub(super) fn inline(text: &str) -> Markup {
    let events = Parser::new(text).filter_map(|event| match event {
        Event::Code(_) | Event::Text(_) => Some(event),
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        Event::SoftBreak | Event::HardBreak => Some(Event::Text(CowStr::Borrowed(" "))),
        _ => None,
    });
    let mut markup = String::new();
    html::push_html(&mut markup, events);
    PreEscaped(markup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_holds_no_markup_of_its_own() {
        let hostile = "a <script>alert(1)</script> [b](javascript:alert(2)) ![c](https://example.org/x.png)\n\n<img src=x onerror=alert(3)>";
        for markup in [blocks(hostile), inline(hostile)] {
            let markup = markup.into_string();
            for forbidden in ["<script", "<img", "<a ", "href", "javascript:"] {
                assert!(!markup.contains(forbidden), "{forbidden} in {markup}");
            }
            assert!(markup.contains("&lt;script&gt;"), "{markup}");
        }
    }

    #[test]
    fn code_and_emphasis_are_kept() {
        assert_eq!(
            inline("`count` asks").into_string(),
            "<code>count</code> asks"
        );
        assert_eq!(
            blocks("*Why:* so.").into_string(),
            "<p><em>Why:</em> so.</p>\n"
        );
    }
}
