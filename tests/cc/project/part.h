void part_add(int n);
int part_sum(void);
