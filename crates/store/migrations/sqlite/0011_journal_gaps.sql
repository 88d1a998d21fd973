-- Twin of ../postgres/0011_journal_gaps.sql.
-- Records of journals that could not be read: there may be attempts of which nothing is known, at most one for each.
CREATE TABLE journal_gaps (
    journal TEXT NOT NULL,
    first_record INTEGER NOT NULL,
    records INTEGER NOT NULL,
    noticed_at INTEGER NOT NULL,
    PRIMARY KEY (journal, first_record)
) WITHOUT ROWID;
