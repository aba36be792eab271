import { emptyState, heading } from "../ui.js";

export default {
  title: "Who may do what",
  path: "access",
  mount(root) {
    root.append(heading("Who may do what"), emptyState("Not here yet", "This view is still to come."));
  },
};
