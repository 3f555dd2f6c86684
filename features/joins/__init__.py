"""Point-in-time joins of labels and feature tables (`point_in_time`), and training, validation and test `splits`."""
