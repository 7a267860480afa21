"""Where the science meets the record: the columns of a plan, measured."""
