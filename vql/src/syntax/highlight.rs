//! Text to coloured spans, for the editor: works on text that is being typed.

use super::ast::Span;
use super::lexer::{self, Token};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    Keyword,
    String,
    Number,
    Comment,
    Operator,
    /// The name of a function or plugin that is called, or read by FROM.
    Function,
    Name,
    Bracket,
    Error,
}

impl Class {
    /// A word for a style sheet.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Keyword => "keyword",
            Class::String => "string",
            Class::Number => "number",
            Class::Comment => "comment",
            Class::Operator => "operator",
            Class::Function => "function",
            Class::Name => "name",
            Class::Bracket => "bracket",
            Class::Error => "error",
        }
    }
}

/// The pieces of the text in order, none overlapping; only white space lies between them. A text that is too long to be
/// read is one error.
pub fn highlight(text: &str) -> Vec<(Span, Class)> {
    if text.len() > super::MAX_TEXT {
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        return vec![(Span { start: 0, end }, Class::Error)];
    }
    let lexed = lexer::lex(text);
    let tokens = &lexed.tokens;
    let mut comments = lexed.comments.into_iter().peekable();
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut in_source = false;
    for (i, lexeme) in tokens.iter().enumerate() {
        while let Some(comment) = comments.next_if(|c| c.start < lexeme.span.start || lexeme.token == Token::End) {
            pieces.push((comment, Class::Comment));
        }
        let before = if i == 0 { Token::End } else { tokens[i - 1].token };
        let next = tokens.get(i + 1).map_or(Token::End, |t| t.token);
        in_source = match lexeme.token {
            Token::From => true,
            Token::Name | Token::Quoted | Token::Dot => in_source,
            _ => false,
        };
        let class = match lexeme.token {
            Token::End => break,
            Token::Bad => match text.as_bytes().get(lexeme.span.start as usize) {
                // Not closed yet.
                Some(b'\'' | b'"') => Class::String,
                Some(b'`') => Class::Name,
                _ => Class::Error,
            },
            // A member or an argument that bears the name of a keyword.
            token if token.is_keyword() && before == Token::Dot => Class::Name,
            Token::Desc | Token::Limit | Token::From | Token::In | Token::As | Token::Where
                if next == Token::Eq && matches!(before, Token::Comma | Token::LeftParen) =>
            {
                Class::Name
            }
            token if token.is_keyword() => Class::Keyword,
            Token::Number => Class::Number,
            Token::String | Token::Raw => Class::String,
            Token::Name | Token::Quoted if in_source || next == Token::LeftParen => {
                // Behind the plugin's name only a point leads on.
                in_source = in_source && next == Token::Dot;
                Class::Function
            }
            Token::Name
                if text[lexeme.span.range()].eq_ignore_ascii_case("ASC")
                    && matches!(before, Token::Name | Token::Quoted | Token::RightParen | Token::RightSquare) =>
            {
                Class::Keyword
            }
            Token::Name | Token::Quoted => Class::Name,
            Token::LeftParen
            | Token::RightParen
            | Token::LeftSquare
            | Token::RightSquare
            | Token::LeftBrace
            | Token::RightBrace => Class::Bracket,
            Token::Semicolon => Class::Error,
            _ => Class::Operator,
        };
        pieces.push((lexeme.span, class));
    }
    // A text of too many words is read in part.
    if let Some((last, _)) = pieces.last()
        && let Some(rest) = text.get(last.end as usize..)
        && !rest.trim().is_empty()
    {
        pieces.push((Span { start: last.end, end: text.len() as u32 }, Class::Error));
    }
    pieces
}
