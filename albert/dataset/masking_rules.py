"""The rules of masking, which the data tool and the graph of compact records share."""

# Of the masked tokens, this share becomes [MASK], this share a random token; the others stay what they are.
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1

# How a group of max_ngram words is divided into n-grams: for each of NGRAM_PARTS equally likely cases where one begins
# at the first, second, third word. Over all cases n-grams of n words are as frequent as 1/n.
NGRAM_PARTS = 12
NGRAM_CUTS = {2: ((1, 0),) * 6 + ((1, 1),) * 6,
              3: ((1, 0, 0),) * 4 + ((1, 1, 0),) * 3 + ((1, 0, 1),) * 3 + ((1, 1, 1),) * 2}
