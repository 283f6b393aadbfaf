//! Where the page after an answer is. Pure.

use super::{
    answer::Answer,
    error::Error,
    fetch::Progress,
    page::Page,
    position::Position,
    rule::{Kind, Rule},
};

/// The page after `answer`, which is at `at`; `None` after the last. `before` are the pages before it, and `total` is
/// what they said there is on all pages.
///
/// # Errors
///
/// `Incomplete` if the answers end with fewer items than they say there are.
pub(super) fn after(
    rule: &Rule,
    at: &Position,
    answer: &Answer,
    before: Progress,
    total: Option<u64>,
) -> Result<Option<Position>, Error> {
    let on_page = answer.page.as_ref().map_or(0, |page| page.len() as u64);
    let items = before.items.saturating_add(on_page);
    let total = answer.page.as_ref().and_then(|page| page.total).or(total);
    let next = if answer.page.is_none() || answer.more == Some(false) {
        None
    } else {
        match &rule.kind {
            Kind::Single if answer.more == Some(true) => {
                return Err(Error::incomplete("the only page says that there are more"));
            }
            Kind::Single => None,
            Kind::NextUrl { .. } => answer.link.as_ref().map(|link| Position::url(link, &answer.uri)),
            Kind::Cursor { .. } => answer.link.clone().map(Position::cursor),
            Kind::PageNumber { first, .. } => {
                let number = number_of(at).unwrap_or(*first);
                let seen = number.saturating_sub(*first).saturating_add(1);
                (!is_last(answer, answer.page_count.map(|count| (seen, count)), items, total))
                    .then(|| Position::Page(number.saturating_add(1)))
            }
            Kind::Offset { first, step, .. } => {
                let offset = number_of(at).unwrap_or(*first);
                let next = offset.saturating_add(step.unwrap_or(on_page));
                (!is_last(answer, None, items, total)).then_some(Position::Offset(next))
            }
        }
    };
    match total.filter(|total| next.is_none() && items < *total) {
        Some(total) => Err(Error::incomplete(format!("the answers end after {items} of {total} items"))),
        None => Ok(next),
    }
}

/// The page after the one at `at`, where that can be told without the one at `at`.
pub(super) fn foreseen(rule: &Rule, at: &Position) -> Option<Position> {
    match &rule.kind {
        Kind::PageNumber { .. } => Some(Position::Page(number_of(at)?.checked_add(1)?)),
        Kind::Offset { step: Some(step), .. } => Some(Position::Offset(number_of(at)?.checked_add(*step)?)),
        Kind::Single | Kind::NextUrl { .. } | Kind::Cursor { .. } | Kind::Offset { step: None, .. } => None,
    }
}

/// Whether the place of a page is counted, and not told by the one before it.
pub(super) const fn is_counted(rule: &Rule) -> bool {
    matches!(rule.kind, Kind::PageNumber { .. } | Kind::Offset { .. })
}

/// How many pages there are from `next` on, if there are `count` in all.
pub(super) fn left(rule: &Rule, next: &Position, count: Option<u64>) -> Option<u64> {
    match (&rule.kind, next) {
        (Kind::PageNumber { first, .. }, Position::Page(number)) => {
            Some(first.saturating_add(count?).saturating_sub(*number))
        }
        _ => None,
    }
}

/// Whether a page that is counted is the last. `counted` is how many have come, and how many there are said to be.
fn is_last(answer: &Answer, counted: Option<(u64, u64)>, items: u64, total: Option<u64>) -> bool {
    let is_empty = answer.page.as_ref().is_none_or(Page::is_empty);
    match (answer.more, counted, total) {
        (Some(more), ..) => !more,
        (None, _, Some(total)) if items == total => true,
        (None, Some((seen, count)), total) if seen == count && total.is_none_or(|total| items >= total) => true,
        (None, Some((seen, count)), None) if seen < count => false,
        // Also where they contradict each other or the items: the next page will show which is right.
        _ => is_empty,
    }
}

fn number_of(position: &Position) -> Option<u64> {
    match position {
        Position::Page(number) | Position::Offset(number) => Some(*number),
        Position::Start | Position::Url(_) | Position::Cursor(_) | Position::NumberCursor(_) => None,
    }
}
