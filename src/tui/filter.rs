//! The filter language of the table of pairs: `susp>.5 len>1.5 iter:2 veto !auto "text"`.
