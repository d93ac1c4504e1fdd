package evidence

// Keys are the keys of the leaves that are shown with their values, in the order of the tree: what this Evidence is about.
func (f *Facts) Keys() []string {
	var out []string
	for i := range f.tree.leaves {
		if l := &f.tree.leaves[i]; l.known {
			out = append(out, string(l.key))
		}
	}
	return out
}
