//! What must be true of a page, whatever the data set is.
