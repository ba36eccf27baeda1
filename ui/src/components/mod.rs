//! Parts of the page that know no word of the business: text in, text out.

mod bar;
mod chips;
mod copy;
mod editor;
mod icon;
mod menu;
mod notice;
mod paged;
mod paused;
mod rows;
mod search;
mod state;
mod suggest;
mod table;
mod time;

pub use bar::{Bar, Part};
pub use chips::ChipEditor;
pub use copy::{Command, Copy, copy_and_say};
pub use editor::{Editor, Pieces, Problem, Severity};
pub use icon::{Glyph, Icon, Mark};
pub use menu::Menu;
pub use notice::{Failure, Notice};
pub use paged::Paged;
pub use paused::{Reload, paused};
pub use rows::{MAX_KEPT, Row, RowStore};
pub use search::{Search, is_typing};
pub use state::{Shape, State, Tone};
pub use suggest::{Candidate, Question, Suggested};
pub use table::{Lead, RowTable, Windowed};
pub use time::Ago;
