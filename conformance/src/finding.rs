//! What is wrong in a specification, shown as a compiler shows it.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake in a chapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named when it was read.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Octet range in the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is allowed here, or what to do.
    pub allowed: String,
}

impl Finding {
    /// A finding at an octet range of a file's text.
    pub fn new(
        path: &str,
        source: &str,
        span: Range<usize>,
        message: String,
        allowed: String,
    ) -> Finding {
        let before = source.get(..span.start).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Finding {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            message,
            allowed,
        }
    }

    /// The finding with the line it is about and a caret under the mistake. Styled; print it through `anstream`.
    pub fn render(&self, source: &str) -> String {
        let line_start = source[..self.span.start.min(source.len())]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let line = source[line_start..].lines().next().unwrap_or_default();
        let start = (self.span.start - line_start).min(line.len());
        let end = (self.span.end.max(self.span.start + 1) - line_start).min(line.len() + 1);
        let snippet = Snippet::source(line)
            .path(&self.path)
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(start..end.max(start)));
        let report = [Level::ERROR
            .primary_title(&self.message)
            .element(snippet)
            .element(Level::HELP.message(format!("allowed here: {}", self.allowed)))];
        Renderer::styled()
            .decor_style(DecorStyle::Ascii)
            .render(&report)
    }
}
